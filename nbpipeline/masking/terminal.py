"""What steers a terminal in a text: it shows nothing there, so for a reader the text is whole without it."""

from nbpipeline.patterns import regex

_STRINGS = r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*"
_PARTS = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*"
_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f]"
STEERING = regex(
    rf"{_PARTS}[@-~]"  # colours, the cursor
    rf"|{_STRINGS}(?:\x07|\x1b\\|\x9c)"  # a title
    rf"|\x1b[ -/]*[0-~]|{_CONTROL}"
)
UNFINISHED = regex(rf"(?:{_PARTS}|{_STRINGS}\x1b?|\x1b[ -/]*)\Z")
"""The same where the text ends within it."""
_CONTROLS = tuple(map(chr, (*range(9), *range(11, 32), 127)))
_MORE_CONTROLS = tuple(map(chr, range(128, 160)))


def steers(text: str) -> bool:
    """Whether anything in a text steers a terminal: asked of every text, and nearly all say no."""
    looked_for = _CONTROLS if text.isascii() else (*_CONTROLS, *_MORE_CONTROLS)
    return any(one in text for one in looked_for)


def without_colours(text: str) -> str:
    """Take what would steer a terminal out of an error's text; line breaks and tabs stay."""
    return STEERING.sub("", text)
