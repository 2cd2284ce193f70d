"""How commands count and align; numbers and times are put as reports put them."""

from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """Write a number with its noun: `1 stage`, `3 stages`, `no errors`."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Align rows in columns, two blanks between them; the last column is left ragged."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    widths[-1] = 0
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return ["  ".join(cells).rstrip() for cells in padded]
