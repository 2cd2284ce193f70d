"""Expressions that are compiled late do what others do."""

import re

import pytest

from nbpipeline.patterns import regex


def test_it_finds_what_a_compiled_one_finds():
    late, made = regex(r"(?P<a>a+)b", re.IGNORECASE), re.compile(r"(?P<a>a+)b", re.IGNORECASE)
    for text in ("xAAb", "aab", "none"):
        assert late.findall(text) == made.findall(text)
        assert (late.search(text) or [None])[0] == (made.search(text) or [None])[0]
        assert late.sub("-", text) == made.sub("-", text)
        assert bool(late.fullmatch(text)) == bool(made.fullmatch(text))
        assert late.split(text) == made.split(text)
    assert (late.pattern, late.groups) == (made.pattern, made.groups)


def test_it_is_compiled_once_and_not_before_it_is_used(monkeypatch):
    made, real = [], re.compile
    monkeypatch.setattr(re, "compile", lambda *given: made.append(given) or real(*given))
    late = regex("a+")
    assert made == []
    assert late.match("aa")
    assert late.fullmatch("aa")
    assert late.sub("b", "aa") == "b"
    assert made == [("a+", 0)]


def test_what_is_no_expression_is_told_when_it_is_used():
    wrong = regex("(")
    with pytest.raises(re.error):
        wrong.match("a")
