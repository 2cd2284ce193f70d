import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipeline.stage.secrets import MASK, MaskedStream, Masker

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
