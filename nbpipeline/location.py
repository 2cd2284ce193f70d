"""Where something stands in a user's project."""

from nbpipeline.values import dataclass

STATE_FOLDER = ".nbpipeline"
"""The project's folder of nbpipeline's own: history, store, runs."""


def is_url(path: str) -> bool:
    """Whether a project path is an fsspec URL (`s3://bucket/key`), which notebooks read and write."""
    return path.find("://") > 0


def on_one_line(text: str) -> str:
    """Write what breaks a line, steers a terminal or cannot be seen as Python escapes it."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place that a message can point at.

    `path` is relative to the project's root, with `/`; `cell` counts every cell of the
    notebook from 1; `line` counts from 1 within the cell, or within the file where `cell` is None.
    """

    path: str
    cell: int | None = None
    line: int | None = None

    def __str__(self) -> str:
        """Say the place as messages do: `notebooks/train.ipynb, cell 1, line 4`."""
        parts = [self.path]
        if self.cell is not None:
            parts.append(f"cell {self.cell}")
        if self.line is not None:
            parts.append(f"line {self.line}")
        return ", ".join(parts)

    @property
    def order(self) -> tuple[str, int, int]:
        """Sort key: by file, then cell, then line."""
        return (self.path, self.cell or 0, self.line or 0)
