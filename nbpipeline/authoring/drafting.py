"""Profiles -> the text of a suite: built-in checks that hold for the data, each with where it came from."""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction

from nbpipeline.location import on_one_line
from nbpipeline.patterns import regex
from nbpipeline.reading.yaml12 import plain
from nbpipeline.validators.measuring import MOST_CATEGORIES
from nbpipeline.validators.profile import ColumnProfile, Profile
from nbpipeline.validators.values import TYPES
from nbpipeline.values import dataclass

FEW_ROWS = 20
"""Of fewer rows nobody can tell that a column is unique or has categories."""
_TIMES_EACH = 10
"""Texts are categories where each comes so often, on average."""
_LONGEST_KEY = 900
"""YAML wants keys of a mapping under 1,024 characters."""
_SHOWN = 3
_WORD = regex(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was learned from one file."""

    source: str
    """Said of it in the suite."""
    profile: Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One check with where it came from."""

    comment: str
    check: str
    beside: str = ""


def draft(
    artifact: str, table: str, found: Sequence[Found], tolerance: float, left_out: Collection[int] = ()
) -> tuple[int, str]:
    """Give how many checks there are, and the suite's text.

    Ranges, numbers of rows and shares of missing values are let go wider by `tolerance`, a share. Of several
    files each must pass. Checks whose numbers, from 0, are in `left_out` are drafted no more.
    """
    every = enumerate(_checks([one.profile for one in found], tolerance))
    checks = [one for number, one in every if number not in left_out]
    lines = [
        f"# Drafted by `nbpipeline expect learn {artifact}{f' --table {_text(table)}' if table else ''}`:",
        "# review it, and take out what need not hold.",
        *(f"# Learned from {on_one_line(one.source)}: {_said_rows(one.profile)}." for one in found),
        f"# Ranges, numbers of rows and shares of missing values may go {_percent(tolerance)} further.",
        f"artifact: {artifact}",
        *([f"table: {_text(table)}"] if table else []),
        "expect:",
    ]
    for one in checks:
        lines += [f"  # {on_one_line(one.comment)}", f"  - {one.check}"]
        lines += [f"    {one.beside}"] if one.beside else []
    return len(checks), "\n".join(lines) + "\n"


def _said_rows(read: Profile) -> str:
    part = f", of which {read.looked:,} were looked at" if read.sampled else ""
    return f"{read.rows:,} rows{part}"


def _checks(profiles: Sequence[Profile], tolerance: float) -> Iterator[_Line]:
    yield _rows(profiles, tolerance)
    names = [
        name
        for name in profiles[0].columns
        if all(name in one.columns for one in profiles) and is_writable(name)
    ]
    if not names:
        return
    yield _Line(
        comment=f"{len(names)} columns; further ones may be there (`only:` forbids them)",
        check=f"columns: {{required: [{', '.join(map(_text, names))}]}}",
    )
    columns = {name: [one.columns[name] for one in profiles] for name in names}
    kinds = {name: _kind(profiles, each) for name, each in columns.items()}
    told = {name: kind for name, kind in kinds.items() if kind in TYPES and len(_text(name)) < _LONGEST_KEY}
    if told:
        listed = ", ".join(f"{_text(name)}: {kind}" for name, kind in told.items())
        yield _Line(comment="every value had this type", check=f"types: {{{listed}}}")
    yield from _nulls(profiles, names, tolerance)
    for name, each in columns.items():
        yield from _of_column(name, kinds[name], each, profiles, tolerance)


def _rows(profiles: Sequence[Profile], tolerance: float) -> _Line:
    counts = [one.rows for one in profiles]
    share = Fraction(str(tolerance))
    low, high = math.floor(min(counts) * (1 - share)), math.ceil(max(counts) * (1 + share))
    seen = f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
    return _Line(comment=f"{seen} rows", check=f"rows: {{min: {max(low, 0)}, max: {high}}}")


def _kind(profiles: Sequence[Profile], each: Sequence[ColumnProfile]) -> str:
    """Find the type of a column in all files; empty where none fits."""
    kinds = set()
    for read, column in zip(profiles, each, strict=True):
        if column.nulls < read.looked:
            kinds.add(column.type)
        elif column.type not in ("", "null"):
            kinds.add(column.type)  # the file says so, though it holds nothing
    for wide in (*kinds, "float", "datetime"):
        if kinds and kinds <= {wide, *_NARROWER.get(wide, ())}:
            return wide
    return ""


_NARROWER: Mapping[str, tuple[str, ...]] = {"float": ("int",), "datetime": ("date",)}


def _nulls(profiles: Sequence[Profile], names: Sequence[str], tolerance: float) -> Iterator[_Line]:
    if not any(one.looked for one in profiles):
        return
    shares = {name: max(one.null_share(name) for one in profiles) for name in names}
    full = [name for name, share in shares.items() if not share]
    if full:
        yield _Line(comment="never missing", check=f"not_null: [{', '.join(map(_text, full))}]")
    for name, share in shares.items():
        kept = math.floor((1 - share * (1 + tolerance)) * 1000) / 1000
        if share and kept > 0:
            yield _Line(
                comment=f"{name}: missing in {_percent(share)} of the rows",
                check=f"not_null: [{_text(name)}]",
                beside=f"mostly: {kept}",
            )


def _of_column(
    name: str, kind: str, each: Sequence[ColumnProfile], profiles: Sequence[Profile], tolerance: float
) -> Iterator[_Line]:
    enough = min(one.looked for one in profiles) >= FEW_ROWS
    known = [one for one, read in zip(each, profiles, strict=True) if one.nulls < read.looked]
    unique = enough and bool(known) and all(one.unique for one in known)
    if unique:
        yield _Line(comment=f"{name}: no value came twice", check=f"unique: [{_text(name)}]")
    if kind in ("int", "float") and not (unique and kind == "int"):
        yield from _number_range(name, known, whole=kind == "int", tolerance=tolerance)
    elif kind in ("date", "datetime"):
        yield from _time_range(name, known, whole=kind == "date")
    elif kind == "str" and enough and not unique:
        yield from _categories(name, known)


# --- ranges --------------------------------------------------------------------------------------


def _number_range(
    name: str, known: Sequence[ColumnProfile], *, whole: bool, tolerance: float
) -> Iterator[_Line]:
    if not known or any(one.low is None for one in known):
        return
    low, high = min(one.low for one in known), max(one.high for one in known)
    try:
        first, last = (
            _widened(low, high, tolerance) if whole else _widened_floats(float(low), float(high), tolerance)
        )
        bounds = {"min": first, "max": last}
        given = {
            key: repr(one) for key, one in bounds.items() if math.isfinite(one) and plain(repr(one)) == one
        }
    except OverflowError:  # of an int past all floats
        return
    means = [one.mean for one in known if one.mean is not None]
    mean = f", mean {sum(means) / len(means):.6g}" if means else ""
    if given:
        listed = ", ".join(f"{key}: {one}" for key, one in given.items())
        yield _Line(
            comment=f"{name}: {low} to {high}{mean}", check=f"between: {{column: {_text(name)}, {listed}}}"
        )


def _widened(low: int, high: int, tolerance: float) -> tuple[int, int]:
    """Let whole numbers go further; what had one sign keeps it, and flags (0 and 1) stay flags."""
    if low >= 0 and high <= 1:
        return low, high
    more = math.ceil((high - low) * Fraction(str(tolerance)))
    return (max(low - more, 0) if low >= 0 else low - more), (
        min(high + more, 0) if high <= 0 else high + more
    )


def _widened_floats(low: float, high: float, tolerance: float) -> tuple[float, float]:
    """Let numbers go further, to round ones; what had one sign keeps it, and a share stays one."""
    more = (high - low) * tolerance
    if not (math.isfinite(more) and more > 0):
        return low, high
    digits = -math.floor(math.log10(more))
    step = 10.0**-digits
    if not step:
        return low, high
    first = round(math.floor((low - more) / step) * step, digits)
    last = round(math.ceil((high + more) / step) * step, digits)
    if low >= 0:
        first = max(first, 0.0)
    if high <= 0 or (low >= 0 and high <= 1):
        last = min(last, 0.0 if high <= 0 else 1.0)
    return min(first, low), max(last, high)


def _time_range(name: str, known: Sequence[ColumnProfile], *, whole: bool) -> Iterator[_Line]:
    """Bound times from below alone: those of later data are later."""
    if not known or any(one.low is None for one in known):
        return
    low, high = min(one.low for one in known), max(one.high for one in known)
    try:
        first, last = (_iso(one, whole=whole) for one in (low, high))
    except OverflowError:  # at the end of what Python's calendar holds
        return
    yield _Line(
        comment=f"{name}: {first} to {last}; later data may be later, so there is no `max`",
        check=f'between: {{column: {_text(name)}, min: "{first}"}}',
    )


def _iso(value: datetime, *, whole: bool) -> str:
    plain_time = value.astimezone(UTC).replace(tzinfo=None, microsecond=0)
    return plain_time.date().isoformat() if whole else plain_time.isoformat()


# --- categories ------------------------------------------------------------------------------------


def _categories(name: str, known: Sequence[ColumnProfile]) -> Iterator[_Line]:
    counts: Counter[str] = Counter()
    for one in known:
        if one.categories is None:
            return
        counts.update(one.categories)
    total = sum(counts.values())
    if not all(map(is_writable, counts)):
        return
    if not counts or len(counts) > MOST_CATEGORIES or total < _TIMES_EACH * len(counts):
        return
    most = ", ".join(f"{text} ({_percent(count / total)})" for text, count in counts.most_common(_SHOWN))
    yield _Line(
        comment=f"{name}: {len(counts)} different texts; most often {most}",
        check=f"in_set: {{column: {_text(name)}, values: [{', '.join(map(_text, sorted(counts)))}]}}",
    )


def is_writable(text: str) -> bool:
    """Whether a file can hold it: JSON's texts may have halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def _text(text: str) -> str:
    """Write a text so that YAML 1.2 reads the same text, wherever it stands."""
    if _WORD.fullmatch(text) and plain(text) == text:
        return text
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(sign: str) -> str:
    if sign in '"\\':
        return f"\\{sign}"
    if sign.isprintable():
        return sign
    code = ord(sign)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 - digits
