"""Reasons in words, and the difference of cells and modules that `plan --diff` shows."""

from collections.abc import Callable, Mapping

from nbpipeline.fingerprint import Fingerprinter
from nbpipeline.model import Reason, ReasonKind, Step, Value
from nbpipeline.plan.values import inner_change, value_text, whole_change
from nbpipeline.ports import Store


def words(reason: Reason) -> str:
    """Say a reason as plans do: `code: cell 4 changed`, `parameter C: 1.0 -> 0.5`."""
    return _WORDS[reason.kind](reason)


def diff(step: Step, store: Store, fingerprinter: Fingerprinter) -> str:
    """Show what the changed cells and modules of a step were and are, as a unified diff; empty where none."""
    shown = [one for one in step.reasons if _has_text(one)]
    if not shown:
        return ""
    present = fingerprinter.sources(step.instance, step.fingerprint)
    return "\n".join(_code_diff(one, store, present) for one in shown)


def _has_text(reason: Reason) -> bool:
    if reason.kind is ReasonKind.CODE:
        return reason.subject.startswith("cell ")
    return reason.kind is ReasonKind.MODULE


def _code_diff(reason: Reason, store: Store, present: Mapping[str, str]) -> str:
    name = reason.subject if reason.kind is ReasonKind.CODE else f"module {reason.subject}"
    before = _text(reason.before, store.get_text)
    after = _text(reason.after, lambda digest: present.get(digest) or store.get_text(digest))
    if before is None:
        return f"--- {name}\n(the earlier text is not in the store)"
    if after is None:
        return f"--- {name}\n(it is no text that can be shown)"
    import difflib  # noqa: PLC0415 - only `plan --diff` shows lines

    lines = difflib.unified_diff(
        before.splitlines(),
        after.splitlines(),
        fromfile=f"{name}, last run",
        tofile=f"{name}, now",
        lineterm="",
    )
    return "\n".join(lines)


def _text(digest: Value, find: Callable[[str], str | None]) -> str | None:
    """Find what a digest stands for; nothing stands for no text."""
    return find(digest) if isinstance(digest, str) and digest else ""


def _changed(reason: Reason) -> str:
    return reason.detail or "changed"


def _code(reason: Reason) -> str:
    if reason.subject.startswith("cell ") or None in (reason.before, reason.after):
        return f"code: {reason.subject} {_changed(reason)}"
    kind, _, name = reason.subject.partition(" ")
    inner = inner_change(reason.before, reason.after, checks=kind == "expect" and bool(name))
    if inner:
        return f"code: {reason.subject}: {inner}"
    return f"code: {reason.subject} {whole_change(reason.before, reason.after)}"


def _module(reason: Reason) -> str:
    return f"module {reason.subject} {_changed(reason)}"


def _parameter(reason: Reason) -> str:
    if reason.detail == "added":
        return f"parameter {reason.subject} added ({value_text(reason.after)})"
    if reason.detail == "removed":
        return f"parameter {reason.subject} removed"
    inner = inner_change(reason.before, reason.after)
    return f"parameter {reason.subject}: {inner or whole_change(reason.before, reason.after)}"


def _environment(reason: Reason) -> str:
    if reason.detail == "variable":
        return f"environment variable {reason.subject} changed"
    if reason.detail == "lock file":
        return f"lock file {reason.subject} changed"
    if reason.before is None:
        return f"{reason.subject} {reason.after} is new"
    if reason.after is None:
        return f"{reason.subject} {reason.before} is gone"
    return f"{reason.subject} {reason.before} -> {reason.after}"


def _with(head: str) -> Callable[[Reason], str]:
    return lambda reason: f"{head} {reason.subject} {_changed(reason)}"


def _as_is(text: str) -> Callable[[Reason], str]:
    return lambda reason: f"{text} ({reason.detail})" if reason.detail else text


_WORDS: dict[ReasonKind, Callable[[Reason], str]] = {
    ReasonKind.NEVER_RUN: _as_is("never run"),
    ReasonKind.CODE: _code,
    ReasonKind.MODULE: _module,
    ReasonKind.PARAMETER: _parameter,
    ReasonKind.INPUT: _with("input"),
    ReasonKind.OUTPUT: _with("output"),
    ReasonKind.ENVIRONMENT: _environment,
    ReasonKind.KERNEL: lambda reason: f"kernel {reason.before} -> {reason.after}",
    ReasonKind.UPSTREAM: lambda reason: f"upstream {reason.subject}",
    ReasonKind.UNDECLARED_IO: lambda reason: f"undeclared file {reason.subject}",
    ReasonKind.FAILED: _as_is("last attempt failed"),
    ReasonKind.EXPIRED: _as_is("expired"),
    ReasonKind.ALWAYS: _as_is("always runs"),
    ReasonKind.FORCED: _as_is("forced"),
}
