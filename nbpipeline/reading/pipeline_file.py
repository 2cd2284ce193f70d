"""pipeline.yaml with the chosen profile's keys over the rest."""

from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path

from nbpipeline.content import digest_text
from nbpipeline.model import Value
from nbpipeline.reading.alerts import sealed
from nbpipeline.reading.files import NoText, read_text, stands
from nbpipeline.reading.layers import Layer
from nbpipeline.reading.place import Findings, Place, mend_by_name
from nbpipeline.reading.remembered import Memory
from nbpipeline.reading.schema import project_table
from nbpipeline.reading.shapes import INVALID
from nbpipeline.reading.yaml12 import Document, YamlError
from nbpipeline.values import dataclass

FILE = "pipeline.yaml"
_MISNAMED = ("pipeline.yml", "Pipeline.yaml", "nbpipeline.yaml", "nbpipeline.yml")
_MAPPINGS = frozenset({"store", "executor", "tracking", "alerts"})
"""Keys to which a profile adds, key by key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineFile:
    """What pipeline.yaml says; empty where there is none."""

    exists: bool = False
    values: Mapping[str, Value] = field(default_factory=dict)
    """The checked keys, those of the profile over the rest."""
    layers: tuple[Layer, ...] = ()
    """The file itself, then the profile: `defaults` and `params` of each."""
    entries: tuple[tuple[Layer, ...], ...] = ()
    """Items of `stages`: the file's, then the profile's."""
    digest: str = ""
    """Of its text; empty where there is none that could be read."""

    @property
    def defaults(self) -> tuple[Layer, ...]:
        """Settings of every stage, weakest first."""
        return tuple(
            Layer(values=layer.values["defaults"], place=layer.place.child("defaults"))
            for layer in self.layers
            if layer.values.get("defaults")
        )

    @property
    def params(self) -> tuple[tuple[str, Value, Place], ...]:
        """Project-wide values of parameters, each once: the profile's where it has one."""
        found = {
            name: (name, value, place)
            for layer in self.layers
            for name, value, place in layer.items("params")
        }
        return tuple(found.values())

    def patterns(self, key: str) -> list[tuple[str, Place | None]]:
        """List the patterns of `notebooks` or `exclude`."""
        if not self.layers:
            return []
        place = self.layers[0].place.child(key)
        return [(pattern, place.child(number)) for number, pattern in enumerate(self.values.get(key) or ())]


def _entries(layer: Layer) -> tuple[Layer, ...]:
    found = []
    for values, place in layer.values.get("stages") or ():
        if values.get("name") or values.get("notebook"):
            found.append(Layer(values=values, place=place))
        else:
            place.complain(
                f"{place.key} names no stage.",
                mend="write `name: STAGE`, and `notebook: FILE` where it has another name.",
            )
    return tuple(found)


def read_pipeline_file(
    root: Path,
    profile: str | None,
    plugin_keys: frozenset[str],
    findings: Findings,
    memory: Memory,
) -> PipelineFile:
    """Read and check the file; complain about what is wrong, and go on with the rest."""
    place = Place(file=FILE, findings=findings)
    if not stands(root / FILE):
        _misnamed(root, findings)
        if profile is not None:
            place.complain(
                f"the profile {profile!r} is not known: there is no {FILE}.", mend="leave --profile out."
            )
        return PipelineFile()
    text = _text(root / FILE, place)
    document = _load(text, place, memory) if text is not None else None
    if text is None or document is None:
        return PipelineFile(exists=True)
    at = Place(file=FILE, findings=findings, lines=document.lines)
    values = project_table(plugin_keys).read(document.value, at)
    if values is INVALID:
        return PipelineFile(exists=True)
    own = Layer(values=values, place=at)
    chosen = _profile(own, profile)
    layers = (own, chosen) if chosen else (own,)
    _require_lock(layers, root)
    return PipelineFile(
        exists=True,
        values=_over(values, chosen),
        layers=layers,
        entries=tuple(map(_entries, layers)),
        digest=digest_text(text),
    )


def _text(path: Path, place: Place) -> str | None:
    try:
        return read_text(path, NoText("the file is not there.", "make it again."))
    except NoText as error:
        place.complain(error.what, mend=error.mend)
    return None


def _load(text: str, place: Place, memory: Memory) -> Document | None:
    try:
        return memory.document(FILE, text, sealed)
    except YamlError as error:
        lines = {(): error.line} if error.line else {}
        replace(place, lines=lines).complain(
            f"the file is no YAML: {error.reason}.", mend="mend the line named, or the one before it."
        )
    return None


def _require_lock(layers: tuple[Layer, ...], root: Path) -> None:
    """Complain of a lock file that cannot be read: nothing could become stale with it."""
    layer = next((one for one in reversed(layers) if "environment" in one.values), layers[0])
    setting = layer.values.get("environment")
    if not isinstance(setting, Mapping):
        return
    name = str(setting["lock"])
    absent = NoText("", "")
    try:
        read_text(root / name, absent)
    except NoText as error:
        reason = "is not there." if error is absent else f"cannot be read: {error.what}"
        layer.place.child("environment").complain(
            f"the lock file {name!r} {reason}",
            mend="name a file that is there, from the project's root, or leave 'environment' out.",
        )


def _misnamed(root: Path, findings: Findings) -> None:
    """Warn of a file under a name that is nearly right, which would else be ignored without a word."""
    present = {path.name for path in root.iterdir()} if root.is_dir() else set()
    for name in _MISNAMED:
        if name in present:
            Place(file=name, findings=findings).complain(
                f"the file is not read: its name is not {FILE}.", mend=f"rename it to {FILE}.", warning=True
            )


def _profile(own: Layer, profile: str | None) -> Layer | None:
    """Give the chosen profile's layer, or complain that there is none of that name."""
    if profile is None:
        return None
    profiles = own.values.get("profiles") or {}
    place = own.place.child("profiles")
    if profile in profiles:
        return Layer(values=profiles[profile] or {}, place=place.child(profile))
    place.complain(
        f"the profile {profile!r} is not known.",
        known=f"known profiles: {', '.join(sorted(profiles)) or 'none'}",
        mend=mend_by_name(profile, list(profiles), "write it under 'profiles:', or name another."),
    )
    return None


def _over(values: Mapping[str, Value], profile: Layer | None) -> Mapping[str, Value]:
    """Put the profile's keys over the file's; params, defaults and stages are read layer by layer."""
    found = dict(values)
    for key, value in (profile.values if profile else {}).items():
        if value is None:
            found.pop(key, None)
        elif key in _MAPPINGS:
            found[key] = {**(found.get(key) or {}), **value}
        else:
            found[key] = value
    return found
