"""Signals that come while others are being taken."""

import signal

import pytest

from nbpipeline.cli import signals
from nbpipeline.run.cancel import turned_by_ctrl_c


def test_a_second_ctrl_c_while_the_first_is_being_told_of_kills(monkeypatch):
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if len(said) == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(signals, "_say", say)
    with signals.cancelling() as switch:
        switch.arm()
        signal.raise_signal(signal.SIGINT)
    assert switch.level == 2
    assert said == ["interrupting; once more kills", "killing"]


def test_a_second_ctrl_c_while_the_first_turns_a_session_s_switch_kills():
    with turned_by_ctrl_c() as switch:
        switch.on_raise(lambda level: signal.raise_signal(signal.SIGINT) if level == 1 else None)
        signal.raise_signal(signal.SIGINT)
    assert switch.level == 2


def test_before_it_is_armed_a_signal_ends_the_command():
    with pytest.raises(KeyboardInterrupt), signals.cancelling():
        signal.raise_signal(signal.SIGINT)
