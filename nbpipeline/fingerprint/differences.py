"""Two states compared: which parts differ, and how that is told."""

import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest

from nbpipeline.encoding import value_from
from nbpipeline.fingerprint.code import OPAQUE
from nbpipeline.fingerprint.texts import digest_of
from nbpipeline.model import Fingerprint, Reason, ReasonKind, Value

CELL = "cell "
ADDED, REMOVED, CHANGED = "added", "removed", "changed"
MISSING = "missing"
"""Stands for the digest of an input that is not there."""


def differences(before: Fingerprint, after: Fingerprint) -> tuple[Reason, ...]:
    """Name every part that differs, in a fixed order; what `after` does not know yet is no difference."""
    if before.scheme != after.scheme:
        scheme = Reason(
            kind=ReasonKind.CODE,
            subject="fingerprint scheme",
            before=before.scheme,
            after=after.scheme,
            detail=CHANGED,
        )
        return (scheme,)
    return (
        *_cells(before.code, after.code),
        *_declarations(before.code, after.code),
        *_modules(before.modules, after.modules),
        *_parameters(before.parameters, after.parameters),
        *_mapped(ReasonKind.INPUT, before.inputs, after.inputs),
        *_mapped(ReasonKind.UPSTREAM, before.upstream, after.upstream),
        *_environment(before.environment, after.environment),
        *_kernel(before.kernel, after.kernel),
    )


def _cells(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Reason]:
    old, new = _split(before), _split(after)
    if list(old.values()) == list(new.values()):
        return
    from difflib import SequenceMatcher  # noqa: PLC0415 - most plans find no difference

    matcher = SequenceMatcher(None, list(old.values()), list(new.values()), autojunk=False)
    old_names, new_names = list(old), list(new)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            continue
        for was, now in zip_longest(old_names[i1:i2], new_names[j1:j2]):
            yield _code_reason(now or was, old.get(was), new.get(now))


def _code_reason(subject: str, before: Value, after: Value) -> Reason:
    detail = ADDED if before is None else REMOVED if after is None else CHANGED
    return Reason(kind=ReasonKind.CODE, subject=subject, before=before, after=after, detail=detail)


def _split(code: Mapping[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in code.items() if name.startswith(CELL)}


def _declarations(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Reason]:
    for name, was, now in _changed(before, after):
        if not name.startswith(CELL):
            yield _code_reason(name, _value(was), _value(now))


def _changed(
    before: Mapping[str, str | None], after: Mapping[str, str | None]
) -> Iterator[tuple[str, str | None, str | None]]:
    """Names whose values differ, in `after`'s order and then what it lacks; unknown ones are passed over."""
    for name, now in after.items():
        was = before.get(name)
        if was != now and (now is not None or name not in before):
            yield name, was, now
    for name, was in before.items():
        if name not in after:
            yield name, was, None


def _modules(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Reason]:
    for path, was, now in _changed(before, after):
        detail = ADDED if was is None else REMOVED if now is None else _names_changed(was, now)
        yield Reason(kind=ReasonKind.MODULE, subject=path, before=_own(was), after=_own(now), detail=detail)


def _own(text: str | None) -> str | None:
    return digest_of(text) if text else None


def _names_changed(before: str, after: str) -> str:
    """Name the top-level names of a module that differ: `changed (build, clean)`."""
    was, now = _names(before), _names(after)
    names = [name for name in now if was.get(name) != now[name]] + [name for name in was if name not in now]
    shown = [name for name in names if name != "-"]
    return f"{CHANGED} ({', '.join(shown)})" if shown else CHANGED


def _names(text: str) -> dict[str, str]:
    return dict(one.rsplit(":", 1) for one in text.split(" ")[1:] if ":" in one)


def _parameters(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Reason]:
    for name, was, now in _changed(before, after):
        detail = ADDED if was is None else REMOVED if now is None else CHANGED
        yield Reason(
            kind=ReasonKind.PARAMETER, subject=name, before=_value(was), after=_value(now), detail=detail
        )


def _value(text: str | None) -> Value:
    """Bring a value back from its text; an opaque one stays its source."""
    if text is None:
        return None
    if text.startswith(OPAQUE):
        return text[len(OPAQUE) :]
    try:
        return value_from(json.loads(text))
    except ValueError:
        return text


def _mapped(
    kind: ReasonKind, before: Mapping[str, str | None], after: Mapping[str, str | None]
) -> Iterator[Reason]:
    for name, was, now in _changed(before, after):
        if now is None and name in after:
            continue
        detail = MISSING if now == MISSING else ADDED if was is None else REMOVED if now is None else CHANGED
        yield Reason(kind=kind, subject=name, before=was, after=now, detail=detail)


def _environment(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Reason]:
    for name, was, now in _changed(before, after):
        word, _, rest = name.partition(" ")
        is_version = word not in {"env", "lock"} or not rest
        yield Reason(
            kind=ReasonKind.ENVIRONMENT,
            subject=name if is_version else rest,
            before=was,
            after=now,
            detail="" if is_version else {"env": "variable", "lock": "lock file"}[word],
        )


def _kernel(before: str, after: str) -> Iterator[Reason]:
    if before != after:
        yield Reason(kind=ReasonKind.KERNEL, subject="kernel", before=before, after=after)
