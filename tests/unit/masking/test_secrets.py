import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipeline.masking.secrets import MASK, MaskedStream, Masker

VALUE = 'päss/wörd "1" & more'


@pytest.mark.parametrize(
    "form",
    [
        VALUE,
        quote(VALUE),
        quote(VALUE, safe=""),
        quote_plus(VALUE),
        json.dumps(VALUE)[1:-1],
        json.dumps(VALUE, ensure_ascii=False)[1:-1],
        base64.b64encode(VALUE.encode()).decode(),
        base64.urlsafe_b64encode(VALUE.encode()).decode(),
        "päss/wörd &quot;1&quot; &amp; more",
    ],
)
def test_every_form_is_masked(form: str) -> None:
    assert Masker([VALUE]).text(f"before {form} after") == f"before {MASK} after"


@given(before=st.binary(max_size=9), after=st.binary(max_size=9))
def test_base64_is_found_whatever_stands_around(before: bytes, after: bytes) -> None:
    value = "a-long-enough-token"
    encoded = base64.b64encode(before + value.encode() + after).decode()
    assert MASK in Masker([value]).text(encoded)


@pytest.mark.parametrize("value", ["", "short", "1234567"])
def test_short_values_are_left_alone(value: str) -> None:
    masker = Masker([value])
    assert masker.needles == ()
    assert masker.anything({"text": value}) == {"text": value}


@given(st.lists(st.text(alphabet="ab1", max_size=6)), st.text(alphabet="ab1", min_size=8, max_size=10))
def test_a_stream_shows_a_secret_however_it_is_cut(pieces: list[str], value: str) -> None:
    masker = Masker([value])
    stream = MaskedStream(masker)
    written = "".join([*(stream.feed(piece) for piece in pieces), stream.rest()])
    assert value not in written.replace(MASK, "|")


@given(st.lists(st.text(alphabet="ab", max_size=6)), st.text(alphabet="ab", min_size=8, max_size=9))
def test_chunks_keep_their_number_and_hide_the_value(pieces: list[str], value: str) -> None:
    masked = Masker([value]).chunks(pieces)
    assert len(masked) == len(pieces)
    assert value not in "".join(masked).replace(MASK, "|")
    if value not in "".join(pieces):
        assert masked == tuple(pieces)


def test_the_mask_stands_where_the_value_began() -> None:
    assert Masker(["0123456789"]).chunks(["a0123", "45", "6789b"]) == (f"a{MASK}", "", "b")


def test_only_what_may_be_a_beginning_waits() -> None:
    stream = MaskedStream(Masker(["secret-value"]))
    assert stream.feed("see sec") == "see "
    assert stream.feed("ond") == "second"
    assert stream.feed("secret-") == ""
    assert stream.feed("value!") == f"{MASK}!"


def test_data_is_masked_at_every_depth() -> None:
    data = {"text-with-secret-value": ["secret-value", {"x": ("secret-value", 1, None)}]}
    assert Masker(["secret-value"]).anything(data) == {f"text-with-{MASK}": [MASK, {"x": (MASK, 1, None)}]}


LONG = "a token that is longer than a line of base64 would be, so it is cut at least once, perhaps twice"


def wrapped(data: bytes, columns: int, end: str) -> str:
    text = base64.b64encode(data).decode()
    return "".join(text[start : start + columns] + end for start in range(0, len(text), columns))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n    ", "\\n"])
@pytest.mark.parametrize("columns", [64, 76])
@pytest.mark.parametrize("value", [LONG, VALUE * 4])
def test_base64_in_lines_is_masked_whole(value: str, columns: int, end: str) -> None:
    text = wrapped(value.encode(), columns, end)
    assert Masker([value]).text(f"see {text}that") == f"see {MASK}{end}that"
    assert Masker([value]).chunks([f"see {text}that"]) == (f"see {MASK}{end}that",)


def test_mime_s_own_lines_are_masked() -> None:
    text = base64.encodebytes(b"x" * 55 + LONG.encode()).decode()
    (masked,) = {Masker([LONG]).text(text), "".join(Masker([LONG]).chunks([text]))}
    head = base64.b64encode(b"x" * 54).decode()
    assert masked.startswith(head)
    rest = masked.removeprefix(head).replace(MASK, "").replace("\n", "")
    assert rest == "eG", "only what the byte before has a part in"


@given(before=st.binary(max_size=80), after=st.binary(max_size=80), columns=st.integers(16, 80))
def test_a_line_break_hides_no_piece_of_a_secret(before: bytes, after: bytes, columns: int) -> None:
    text = wrapped(before + LONG.encode() + after, columns, "\n")
    masked = Masker([LONG]).text(text)
    stable = base64.b64encode(LONG.encode()[2:-2]).decode()
    assert MASK in masked
    plain = masked.replace("\n", "")
    pieces = [base64.b64encode(LONG.encode()[at : at + 9]).decode() for at in range(2, len(LONG) - 11)]
    assert stable not in plain
    assert not [one for one in pieces if one in plain]


@given(st.data())
def test_a_stream_of_lines_shows_no_piece_however_it_is_cut(data: st.DataObject) -> None:
    columns = data.draw(st.sampled_from([64, 76]))
    text = f"begin\n{wrapped(LONG.encode(), columns, chr(10))}end\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    stream = MaskedStream(Masker([LONG]))
    assert "".join([*map(stream.feed, pieces), stream.rest()]) == f"begin\n{MASK}\nend\n"
    assert "".join(Masker([LONG]).chunks(pieces)) == f"begin\n{MASK}\nend\n"


def test_lines_that_are_no_secret_stay() -> None:
    text = wrapped(
        b"something else that is as long as two lines of base64 are, with nothing secret in it", 64, "\n"
    )
    stream = MaskedStream(Masker([LONG]))
    assert Masker([LONG]).text(text) == text
    assert stream.feed(text) + stream.rest() == text


def test_a_value_printed_very_often_takes_time_by_its_length_only() -> None:
    text = "secret-value\n" * 300_000  # every one compared with every other would take hours
    masker = Masker(["secret-value"])
    assert masker.chunks([text]) == (f"{MASK}\n" * 300_000,)
    assert masker.text(text) == f"{MASK}\n" * 300_000


STEERING = [
    "\x1b[31m", "\x1b[38;2;255;200;100m", "\x1b[?25l", "\x9b1;31m", "\x1b]0;a title\x07", "\x1b]8;;http://a\x1b\\",
    "\x1bPq\x1b\\", "\x1b(B", "\x1bc", "\x08", "\x00", "\x7f", "\r", "\x1b[1m\x1b[4m\r",
]  # fmt: skip
"""What a terminal does not show: a secret with one of them in it is whole again there."""


@pytest.mark.parametrize("sequence", STEERING)
@pytest.mark.parametrize("form", ["secret-value", base64.b64encode(b"secret-value").decode()])
def test_a_secret_that_a_terminal_would_show_whole_is_masked(sequence: str, form: str) -> None:
    masker = Masker(["secret-value"])
    text = f"see {sequence}{form[:3]}{sequence}{form[3:8]}{sequence}{form[8:]}{sequence} there"
    assert masker.text(text) == f"see {sequence}{MASK}{sequence} there"
    assert "".join(masker.chunks([text[:9], text[9:]])) == f"see {sequence}{MASK}{sequence} there"


@pytest.mark.parametrize("sequence", STEERING)
def test_a_stream_that_is_cut_within_a_terminal_s_sequence_shows_no_half(sequence: str) -> None:
    text = f"see secret{sequence}-value there"
    for one in range(len(text)):
        for other in range(one, len(text)):
            stream = MaskedStream(Masker(["secret-value"]))
            pieces = (text[:one], text[one:other], text[other:])
            assert "".join([*map(stream.feed, pieces), stream.rest()]) == f"see {MASK} there"


def test_a_secret_in_all_colours_is_masked_letter_by_letter() -> None:
    colours = [f"\x1b[38;2;{200 + number};255;255m" for number in range(12)]
    letters = [f"{colour}{letter}\x1b[0m" for colour, letter in zip(colours, "secret-value", strict=True)]
    stream = MaskedStream(Masker(["secret-value"]))
    written = "".join([*map(stream.feed, ["see ", *letters, " there"]), stream.rest()])
    assert written == f"see {colours[0]}{MASK}\x1b[0m there"


def test_base64_in_coloured_lines_is_masked() -> None:
    lines = wrapped(LONG.encode(), 76, "\n").splitlines()
    text = "".join(f"\x1b[32m{line}\x1b[0m\n" for line in lines)
    assert Masker([LONG]).text(f"{text}end") == f"\x1b[32m{MASK}\x1b[0m\nend"


@given(st.lists(st.sampled_from(["\x1b", "[", "3", "m", "]", "\x07", "\x9b", "\r", "a", "b", "abababab"])))
def test_colours_that_hide_nothing_stay_and_a_stream_loses_none(pieces: list[str]) -> None:
    stream = MaskedStream(Masker(["secret-value"]))
    assert "".join([*map(stream.feed, pieces), stream.rest()]) == "".join(pieces)


def test_what_never_ends_to_steer_a_terminal_is_not_waited_for() -> None:
    stream = MaskedStream(Masker(["secret-value"]))
    title = "\x1b]0;" + "no end " * 1000
    assert stream.feed(f"sec{title}").startswith("sec\x1b]0;no end")


SHORTENED = "s3cr3t-AAAABBBBCCCCDDDDEEEEFFFFGGGGHHHHIIIIJJJJKKKKLLLL"


@pytest.mark.parametrize(
    ("told", "left"),
    [
        (f"row 1 ({SHORTENED[:37]}...)", "row 1 ([masked]...)"),
        (f"row 1 ({SHORTENED[:37]}\u2026)", "row 1 ([masked]\u2026)"),
        (f"token={SHORTENED[:8]}", "token=[masked]"),
        (f"token={SHORTENED[:7]}", f"token={SHORTENED[:7]}"),
        (f"{SHORTENED[20:]} was the end", "[masked] was the end"),
        (f"input='{SHORTENED[:12]}...{SHORTENED[-12:]}'", "input='[masked]...[masked]'"),
        (f"{quote(SHORTENED + '/%')[:30]}...", "[masked]..."),
        (f"{SHORTENED} and {SHORTENED[:9]}..", "[masked] and [masked].."),
        (f"{SHORTENED[:20]} in the midst", f"{SHORTENED[:20]} in the midst"),
    ],
)
def test_what_is_left_of_a_secret_that_was_shortened(told: str, left: str) -> None:
    assert Masker([SHORTENED, SHORTENED + "/%"]).shortened(told) == left
