"""Declared inputs and outputs of an instance -> the paths that they stand for."""

import dataclasses
from collections.abc import Iterable, Sequence

from nbpipeline.errors import Complaint
from nbpipeline.location import Location
from nbpipeline.model import Artifact, BoundArtifact, StageSpec, Value, axis_text
from nbpipeline.pipeline.drafts import Draft
from nbpipeline.pipeline.paths import Places, leaves, mapped, plain, shaped_like
from nbpipeline.pipeline.wording import known, known_outputs, meant, refusal
from nbpipeline.reading import expressions

AGREE = "let both say the same, or take one of them out"
KNOWN_BEFORE = "write a path that is known before the notebook runs"


class DisagreementError(ValueError):
    """Header and cell give an artifact different paths."""


def bind_paths(draft: Draft, places: Places) -> Iterable[Complaint]:
    """Work out every output, and every input that is no reference."""
    for kind, artifacts, found in (
        ("output", draft.spec.outputs, draft.outputs),
        ("input", draft.spec.inputs, draft.inputs),
    ):
        for artifact in artifacts:
            if artifact.reference is not None:
                continue
            try:
                found[artifact.name] = bound = _bind(draft, artifact, places)
                if kind == "output" and not bound.paths:
                    raise ValueError("it names no path")  # noqa: TRY301 - told as the others are
            except KeyError as error:
                yield _unknown_name(draft, kind, artifact, str(error.args[0]))
            except ValueError as error:
                mend = AGREE if isinstance(error, DisagreementError) else KNOWN_BEFORE
                yield refusal(artifact.where, f"{kind} '{artifact.name}': {error}.", mend)
    yield from _executed(draft)


def _bind(draft: Draft, artifact: Artifact, places: Places) -> BoundArtifact:
    value = draft.scope.value(artifact)
    paths = tuple(places.project_path(str(leaf), artifact.base) for leaf in leaves(value))
    folder = draft.spec.working_folder
    if artifact.base != folder:
        value = mapped(value, lambda text: _from_kernel(text, artifact.base, folder, places))
    if artifact.cell_value is not artifact.value and artifact.cell_value != artifact.value:
        value = _agreeing(draft, artifact, value, places, paths)
    draft.scope.names[artifact.name] = value
    return BoundArtifact(spec=_folder_where_it_ends_so(artifact, value), paths=paths, value=value)


def _from_kernel(text: str, base: str, folder: str, places: Places) -> str:
    found = places.kernel_path(places.project_path(text, base), folder)
    return f"{found}/" if text.endswith("/") and not found.endswith("/") else found


def _folder_where_it_ends_so(artifact: Artifact, value: Value) -> Artifact:
    """Take `"../shards/"` for a folder, as its author does, without `kind: directory`."""
    if artifact.kind == "file" and any(str(leaf).endswith("/") for leaf in leaves(value)):
        return dataclasses.replace(artifact, kind="directory")
    return artifact


def _agreeing(draft: Draft, artifact: Artifact, value: Value, places: Places, paths: Sequence[str]) -> Value:
    """Give the value the cell's own types; raises ValueError where both must agree and do not."""
    if artifact.cell_value is None:
        return value
    written = draft.scope.evaluate(artifact, artifact.cell_value)
    folder = draft.spec.working_folder
    in_cell = tuple(places.project_path(str(leaf), folder) for leaf in leaves(written))
    if in_cell == tuple(paths):
        return written
    if artifact.must_agree:
        raise DisagreementError(
            f"the header says {', '.join(paths)}, but cell {artifact.cell} says {', '.join(in_cell)}"
        )
    return shaped_like(value, written)


def _unknown_name(draft: Draft, kind: str, artifact: Artifact, name: str) -> Complaint:
    names = [one for one in draft.scope.names if one != artifact.name]
    return refusal(
        artifact.where,
        f"{kind} '{artifact.name}': nothing gives '{name}' a value.",
        meant(name, names, f"declare '{name}' in the parameters cell, or as an axis of the matrix"),
        known=known("names", names),
    )


def _executed(draft: Draft) -> Iterable[Complaint]:
    """Fill the axes into the path where the executed notebook is also kept."""
    text = draft.spec.executed
    if text is None:
        return
    try:
        draft.executed = str(expressions.evaluate(expressions.template(text), draft.scope.names))
    except KeyError as error:
        names = list(draft.scope.names)
        yield refusal(
            draft.spec.where,
            f"executed: nothing gives '{error.args[0]}' a value.",
            meant(str(error.args[0]), names, "use parameters, axes and {profile} alone"),
            known=known("names", names),
        )
    except ValueError as error:
        yield refusal(draft.spec.where, f"executed: {error}.", "write a path")


class References:
    """Finds what `{from: STAGE.OUTPUT}` speaks of among all drafts."""

    def __init__(self, stages: Sequence[StageSpec], drafts: Sequence[Draft]) -> None:
        """Take all stages and all their instances, outputs bound."""
        self._stages = {stage.name: stage for stage in stages}
        self._drafts: dict[str, list[Draft]] = {}
        self._by_axes: dict[tuple[str, tuple[tuple[str, str], ...]], Draft] = {}
        for draft in drafts:
            self._drafts.setdefault(draft.spec.name, []).append(draft)
            self._by_axes[draft.spec.name, _axes_key(draft.axes)] = draft

    def makers(self, draft: Draft, artifact: Artifact) -> tuple[tuple[Draft, ...], Complaint | None]:
        """Find the instances whose output the input is; a complaint where there is no such thing."""
        reference = artifact.reference
        if reference is None:
            return (), None
        stage = self._stages.get(reference.stage)
        complaint = self._unknown(artifact, stage)
        if stage is None or complaint:
            return (), complaint
        makers = self._drafts.get(stage.name, [])
        if reference.collect:
            return tuple(makers), self._not_collected(artifact, makers)
        if not makers:
            return (), None
        wanted = dict(draft.axes)
        # An axis that a circle of stages kept from coming down is complained of by its values.
        axes = tuple((axis, wanted.get(axis)) for axis, _ in makers[0].axes)
        maker = self._by_axes.get((stage.name, _axes_key(axes)))
        if maker is None:
            return (), _no_instance(artifact, stage.name, axes)
        return (maker,), None

    def _unknown(self, artifact: Artifact, stage: StageSpec | None) -> Complaint | None:
        reference = artifact.reference
        if reference is None:
            return None
        if stage is None:
            return refusal(
                artifact.where,
                f"input '{artifact.name}': there is no stage '{reference.stage}'.",
                meant(reference.stage, self._stages, "name a stage of this project"),
                known=known("stages", self._stages),
            )
        names = [output.name for output in stage.outputs]
        if reference.output in names:
            return None
        return refusal(
            artifact.where,
            f"input '{artifact.name}': stage '{stage.name}' has no output '{reference.output}'.",
            meant(reference.output, names, f"declare '{reference.output}' in {stage.notebook.path}"),
            known=known_outputs(self._stages.values() if not names else [stage]),
        )

    def _not_collected(self, artifact: Artifact, makers: Sequence[Draft]) -> Complaint | None:
        reference = artifact.reference
        if reference is None or not makers or makers[0].axes:
            return None
        return refusal(
            artifact.where,
            f"input '{artifact.name}': stage '{reference.stage}' has no matrix to collect over.",
            f"write {{from: {reference.stage}.{reference.output}}}",
        )


def _axes_key(axes: Iterable[tuple[str, Value]]) -> tuple[tuple[str, str], ...]:
    return tuple((axis, axis_text(value)) for axis, value in axes)


def _no_instance(artifact: Artifact, stage: str, axes: Sequence[tuple[str, Value]]) -> Complaint:
    wanted = ",".join(f"{axis}={axis_text(value)}" for axis, value in axes)
    return refusal(
        artifact.where,
        f"input '{artifact.name}': there is no {stage}[{wanted}].",
        f"give both stages the same values, or collect: {{from: '{stage}[*].{_output(artifact)}'}}",
    )


def _output(artifact: Artifact) -> str:
    return artifact.reference.output if artifact.reference else artifact.name


def bind_reference(
    draft: Draft, artifact: Artifact, makers: Sequence[Draft], places: Places
) -> Iterable[Complaint]:
    """Give an input the paths of the output that it refers to: one, or by axis values all of them."""
    if artifact.reference is None:
        return
    found = [(maker, maker.outputs.get(artifact.reference.output)) for maker in makers]
    outputs = [(maker, output) for maker, output in found if output is not None]
    if not outputs or len(outputs) < len(makers):
        return  # the maker's own complaint tells
    paths = tuple(path for _, output in outputs for path in output.paths)
    values = {
        ",".join(axis_text(value) for _, value in maker.axes): _seen_from(draft, maker, output, places)
        for maker, output in outputs
    }
    value: Value = values if artifact.reference.collect else next(iter(values.values()))
    written = _in_cell(draft, artifact)
    bound = BoundArtifact(spec=artifact, paths=paths, value=shaped_like(value, written) if written else value)
    draft.inputs[artifact.name] = bound
    draft.scope.names[artifact.name] = bound.value
    if written and artifact.must_agree and not artifact.reference.collect:
        yield from _disagreement(draft, artifact, bound, _project_paths(written, draft, places))


def _seen_from(draft: Draft, maker: Draft, output: BoundArtifact, places: Places) -> Value:
    """Write the output's value as the kernel of `draft` would, as text."""
    home, folder = maker.spec.working_folder, draft.spec.working_folder
    return mapped(
        plain(output.value), lambda text: places.kernel_path(places.project_path(text, home), folder)
    )


def _in_cell(draft: Draft, artifact: Artifact) -> Value:
    if artifact.cell_value is None:
        return None
    try:
        return draft.scope.evaluate(artifact, artifact.cell_value)
    except (KeyError, ValueError):
        return None  # the reference gives the value; what the cell says is not needed


def _project_paths(value: Value, draft: Draft, places: Places) -> tuple[str, ...]:
    try:
        return tuple(places.project_path(str(leaf), draft.spec.working_folder) for leaf in leaves(value))
    except ValueError:
        return ()


def _disagreement(
    draft: Draft, artifact: Artifact, bound: BoundArtifact, in_cell: tuple[str, ...]
) -> Iterable[Complaint]:
    if in_cell != bound.paths:
        yield refusal(
            Location(path=draft.spec.notebook.path, cell=artifact.cell),
            f"input '{artifact.name}': {_output(artifact)} of stage '{_maker(artifact)}' is "
            f"{', '.join(bound.paths)}, but the cell says {', '.join(in_cell) or 'no path'}.",
            AGREE,
        )


def _maker(artifact: Artifact) -> str:
    return artifact.reference.stage if artifact.reference else ""
