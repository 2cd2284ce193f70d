"""A project: pipeline.yaml and all notebooks -> ProjectSpec, with every complaint gathered."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from pathlib import Path, PurePosixPath

from nbpipeline.content import digest_text
from nbpipeline.errors import Complaint, ExitCode
from nbpipeline.location import Location
from nbpipeline.model import Notebook, ProjectSpec, StageSpec, Value
from nbpipeline.patterns import regex
from nbpipeline.ports import Cache
from nbpipeline.reading import stage
from nbpipeline.reading.alerts import recipient
from nbpipeline.reading.declared_parameters import refuse_axis
from nbpipeline.reading.discovery import (
    DEFAULT_PATTERNS,
    find_notebooks,
    overlooked,
    read_notebooks,
    read_one,
)
from nbpipeline.reading.files import is_file, stands
from nbpipeline.reading.header import Header, read_header
from nbpipeline.reading.layers import Layer
from nbpipeline.reading.paths import project_path
from nbpipeline.reading.pipeline_file import FILE, PipelineFile, read_pipeline_file
from nbpipeline.reading.place import Findings, Place, mend_by_name
from nbpipeline.reading.remembered import GLIMPSES, STAGES, Memory
from nbpipeline.reading.schema import header_table
from nbpipeline.reading.shapes import INVALID, Table
from nbpipeline.reading.spelling import stage_fields
from nbpipeline.reading.suites import read_suites, with_suites
from nbpipeline.reading.tagged_cells import declares
from nbpipeline.values import dataclass

_OTHER = regex(r"[^A-Za-z0-9_-]")


def find_root(start: Path) -> Path:
    """Find the nearest folder upward that has a pipeline.yaml; `start` itself where none has.

    One that is a link to nowhere makes a root too: reading the project says what is wrong with it.
    """
    start = start.resolve()
    return next((folder for folder in (start, *start.parents) if stands(folder / FILE)), start)


def read_project(
    root: Path,
    *,
    profile: str | None = None,
    plugin_keys: Collection[str] = (),
    cache: Cache | None = None,
) -> tuple[ProjectSpec, tuple[Complaint, ...]]:
    """Read the whole project, with the keys of a profile over the rest.

    `plugin_keys` are keys that plug-ins own, in headers and in pipeline.yaml; they are not read. With a
    `cache`, what did not change since it was read is taken from there.
    Nothing is raised for a file of the user's: a stage that cannot be read is left out, and a
    complaint tells why.
    """
    root = root.resolve()
    findings: Findings = []
    memory = Memory(cache, root)
    file = read_pipeline_file(root, profile, frozenset(plugin_keys), findings, memory)
    finder = _Stages(
        root=root, file=file, findings=findings, plugin_keys=frozenset(plugin_keys), memory=memory
    )
    stages = finder.read(profile)
    whole = all(one.warning for one in findings)
    stages = with_suites(stages, read_suites(root, findings, memory), complete=whole)
    memory.finish()
    _check_shared_params(file, stages, findings)
    _check_any(stages, root, findings)
    spec = ProjectSpec(
        root=str(root),
        name=file.values.get("name") or root.name,
        named=bool(file.values.get("name")),
        file=FILE if file.exists else None,
        stages=stages,
        profile=profile,
        params={name: value for name, value, _ in file.params},
        environment=file.values.get("environment") or "imported",
        kernels=file.values.get("kernels") or "",
        store=file.values.get("store") or {},
        executor=file.values.get("executor") or {},
        tracking={**(file.values.get("tracking") or {}), **recipient(file.values.get("alerts") or {})},
        schedule=file.values.get("schedule") or {},
        plugins={name: file.values[name] for name in plugin_keys if name in file.values},
        passed_over=finder.passed_over(stages),
    )
    return spec, tuple(sorted(dict.fromkeys(findings), key=_order))


def _order(complaint: Complaint) -> tuple[str, int, int]:
    return complaint.where.order if complaint.where else ("", 0, 0)


def default_name(path: str) -> str:
    """Name a stage by its file: other characters than a name's made `_`."""
    name = _OTHER.sub("_", PurePosixPath(path).stem)
    return name if name[:1].isalpha() or name[:1] == "_" else f"_{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A notebook that may be a stage, by what it says of itself."""

    notebook: Notebook
    given: Value
    """The header's `stage`: a name, False, or None where it says nothing."""
    has_header: bool
    declares: bool

    @property
    def name(self) -> str:
        return self.given or default_name(self.notebook.path)

    @property
    def is_stage(self) -> bool:
        return self.given is not False and (self.has_header or self.declares)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stages:
    """Finds and builds the stages of a project."""

    root: Path
    file: PipelineFile
    findings: Findings
    plugin_keys: frozenset[str]
    memory: Memory
    candidates: dict[str, _Candidate] = field(default_factory=dict)

    def read(self, profile: str | None) -> tuple[StageSpec, ...]:
        """Give the listed stages in their order, then those discovered."""
        patterns = self.file.patterns("notebooks") or [(pattern, None) for pattern in DEFAULT_PATTERNS]
        excluded = [pattern for pattern, _ in self.file.patterns("exclude")]
        paths = find_notebooks(self.root, patterns, excluded)
        table = header_table(self.plugin_keys)
        for path, notebook in read_notebooks(paths, self.root, self.findings, self.memory).items():
            self.candidates[path] = self._candidate(notebook, table)
        chosen = [(name, layers, self._of_entry(name, layers, table)) for name, layers in self._entries()]
        taken = {found.notebook.path for _, _, found in chosen if found}
        discovered = [
            one for one in self.candidates.values() if one.is_stage and one.notebook.path not in taken
        ]
        listed = [(name or found.name, layers, found) for name, layers, found in chosen if found]
        self._warn_of_overlooked(patterns, excluded)
        said = digest_text(repr([self.file.digest, profile, str(self.root), sorted(self.plugin_keys)]))
        return self._distinct([*listed, *((one.name, (), one) for one in discovered)], table, said)

    def _warn_of_overlooked(
        self, patterns: Sequence[tuple[str, Place | None]], excluded: Sequence[str]
    ) -> None:
        for path in overlooked(self.root, patterns, excluded, self.candidates):
            shown = path.relative_to(self.root)
            more = ", ".join(
                (*(pattern for pattern, _ in patterns), f"{shown.parent.as_posix()}/*{path.suffix}")
            )
            Place(file=shown.as_posix(), findings=self.findings).complain(
                "this looks like a stage, but no pattern of 'notebooks' matches it.",
                mend=f"write `notebooks: [{more}]` in {FILE}, or name the file under `exclude:`.",
                warning=True,
            )

    def passed_over(self, stages: Sequence[StageSpec]) -> tuple[str, ...]:
        """Name the notebooks that nothing makes stages, and nothing says that they are none."""
        taken = {one.notebook.path for one in stages}
        return tuple(
            path
            for path, one in self.candidates.items()
            if path not in taken and not one.has_header and not one.is_stage
        )

    def _candidate(self, notebook: Notebook, table: Table) -> _Candidate:
        said = repr(sorted(self.plugin_keys))
        known = self.memory.recall(GLIMPSES, notebook, said)
        if known is None:
            before = len(self.findings)
            header, values = self._header(notebook, table)
            facts = (values.get("stage"), header is not None, declares(notebook))
            known = (*facts, tuple(self.findings[before:]))
            self.memory.remember(GLIMPSES, notebook, said, known)
        given, has_header, declaring, complaints = known
        self.findings.extend(complaints)  # of one that is told twice, one is left
        return _Candidate(notebook=notebook, given=given, has_header=has_header, declares=declaring)

    def _header(self, notebook: Notebook, table: Table) -> tuple[Header | None, Mapping[str, Value]]:
        header = read_header(notebook, self.findings)
        values = table.read(header.value, header.place) if header else {}
        return header, {} if values is INVALID else values

    def _entries(self) -> list[tuple[str | None, tuple[Layer, ...]]]:
        """Group the items of `stages` by name, those of the profile last."""
        found: dict[str, tuple[Layer, ...]] = {}
        for layers in self.file.entries:
            seen: set[str] = set()
            for layer in layers:
                key = layer.values.get("name") or f"/{layer.values.get('notebook')}"
                if key in seen:
                    layer.place.complain(
                        f"the stage {key.lstrip('/')!r} is listed twice.", mend="make one item of the two."
                    )
                    continue
                seen.add(key)
                found[key] = (*found.get(key, ()), layer)
        return [(None if key.startswith("/") else key, layers) for key, layers in found.items()]

    def _of_entry(self, name: str | None, layers: Sequence[Layer], table: Table) -> _Candidate | None:
        """Find the notebook of a listed stage, or complain."""
        given = [layer for layer in layers if layer.values.get("notebook")]
        if given:
            return self._given(given[-1], table)
        found = self._by_name(name or "")
        if found is None:
            known = sorted({one.name for one in self.candidates.values()})
            stages = sorted({one.name for one in self.candidates.values() if one.is_stage})
            (layers[0].place.child("name")).complain(
                f"the stage {name!r} has no notebook.",
                known=f"known stages: {', '.join(stages) or 'none'}",
                mend=mend_by_name(
                    name or "",
                    known,
                    "name its file with 'notebook:', or make it with `nbpipeline init --from pipeline.yaml`.",
                ),
            )
        return found

    def _by_name(self, name: str) -> _Candidate | None:
        """Prefer a stage of that name to a notebook that has only the file's."""
        named = [one for one in self.candidates.values() if one.name == name]
        stems = [one for one in self.candidates.values() if default_name(one.notebook.path) == name]
        return next(iter((*(one for one in named if one.is_stage), *named, *stems)), None)

    def _given(self, layer: Layer, table: Table) -> _Candidate | None:
        """Read the notebook that an item names, if it was not discovered."""
        path = project_path(layer.values["notebook"], "", str(self.root))
        if path in self.candidates:
            return self.candidates[path]
        place = layer.place.child("notebook")
        if not is_file(self.root / path):
            place.complain(
                f"the notebook {layer.values['notebook']!r} is not there.",
                known=f"known notebooks: {', '.join(self.candidates) or 'none'}",
                mend=mend_by_name(
                    path,
                    list(self.candidates),
                    "make it, or mend the path; it starts from the project's root.",
                ),
            )
            return None
        notebook = read_one(self.root / path, self.root, self.findings, self.memory)
        if notebook is None:
            return None
        self.candidates[path] = self._candidate(notebook, table)
        return self.candidates[path]

    def _distinct(
        self, chosen: Sequence[tuple[str, tuple[Layer, ...], _Candidate]], table: Table, said: str
    ) -> tuple[StageSpec, ...]:
        """Build each stage; of two with one name, the second is complained about and left out.

        `said` stands for all that is said of stages outside of their notebooks.
        """
        built: dict[str, StageSpec] = {}
        for name, entries, candidate in chosen:
            if name in built:
                header, _ = self._header(candidate.notebook, table)
                place = (
                    header.place if header else Place(file=candidate.notebook.path, findings=self.findings)
                )
                place.complain(
                    f"the stage name {name!r} is taken.",
                    known=f"known stage: {name} ({built[name].notebook.path})",
                    mend="write `stage: NAME` with another name in the header of one of them.",
                )
                continue
            built[name] = self._recalled(name, entries, candidate.notebook, table, said)
        return tuple(built.values())

    def _recalled(
        self, name: str, entries: tuple[Layer, ...], notebook: Notebook, table: Table, said: str
    ) -> StageSpec:
        """Give the stage as it was built of the same, else build it."""
        whole = f"{said} {name} {[layer.place.path for layer in entries]}"
        known = self.memory.recall(STAGES, notebook, whole)
        if known is not None:
            settings, complaints = known
            self.findings.extend(complaints)
            return StageSpec(notebook=notebook, **settings)
        before = len(self.findings)
        spec, lasting = self._build(name, entries, notebook, table)
        if lasting:
            found = (stage_fields(spec), tuple(self.findings[before:]))
            self.memory.remember(STAGES, notebook, whole, found)
        return spec

    def _build(
        self, name: str, entries: tuple[Layer, ...], notebook: Notebook, table: Table
    ) -> tuple[StageSpec, bool]:
        """Build a stage; say whether it follows from its notebook and pipeline.yaml alone."""
        header, values = self._header(notebook, table)
        sources = stage.Sources(
            notebook=notebook,
            name=name,
            root=str(self.root),
            defaults=self.file.defaults,
            header=header,
            header_values=values,
            entries=entries,
            params=self.file.params,
            plugin_keys=self.plugin_keys,
        )
        return stage.build(sources, self.findings), not sources.reads_files


# --- checks of the whole ---------------------------------------------------------------------


def _check_shared_params(file: PipelineFile, stages: Sequence[StageSpec], findings: Findings) -> None:
    """Complain of a parameter that no stage declares, unless a stage that may could not be read."""
    if any(not one.warning for one in findings):
        return
    known = {parameter.name for one in stages for parameter in one.parameters}
    axes = {axis: one.name for one in reversed(stages) for axis in one.matrix}
    for name, _, place in file.params:
        if name in axes:
            refuse_axis(name, place, axes[name])
        elif name not in known:
            place.complain(
                f"the parameter {name!r} is declared by no stage.",
                known=f"known parameters: {', '.join(sorted(known)) or 'none'}",
                mend=mend_by_name(
                    name, list(known), "declare it in a notebook's 'parameters' cell, or take it out."
                ),
                exit_code=ExitCode.PIPELINE,
            )


def _check_any(stages: Sequence[StageSpec], root: Path, findings: Findings) -> None:
    if stages or any(not one.warning for one in findings):
        return
    findings.append(
        Complaint(
            where=Location(path=root.name),
            what="the project has no stage.",
            mend="tag a notebook's cell with 'parameters' or 'outputs', or run `nbpipeline init`.",
        )
    )
