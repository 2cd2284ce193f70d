"""Signals, before a run has a plan and after."""

import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from nbpipeline.cli import signals
from nbpipeline.cli.signals import cancelling
from nbpipeline.executors.local import Level
from nbpipeline.run.cancel import turned_by_ctrl_c


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_while_planning_a_signal_ends_the_command(number: int) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # the tests may run under nohup
    try:
        with pytest.raises(KeyboardInterrupt), cancelling():
            send(number)
    finally:
        signal.signal(number, before)


def test_once_interrupts_twice_kills(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with cancelling() as switch:
        switch.arm()
        send(signal.SIGINT)
        assert switch.level == 1
        send(signal.SIGTERM)
        assert switch.level == 2
        send(signal.SIGINT)
        assert switch.level == 2
    assert signal.getsignal(signal.SIGINT) is before
    assert capsys.readouterr().err == "\ninterrupting; once more kills\n\nkilling\n\nkilling\n"


def test_nohup_keeps_its_promise() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with cancelling() as switch:
            switch.arm()
            send(signal.SIGHUP)
            assert switch.level == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_in_the_midst_of_a_line_is_counted(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def entered_twice(*_: object, **__: object) -> None:
        raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")

    monkeypatch.setattr("nbpipeline.cli.signals.click.echo", entered_twice)
    with cancelling() as cancel:
        cancel.arm()
        os.kill(os.getpid(), signal.SIGINT)
        assert cancel.level == 1
    assert capfd.readouterr().err == "\ninterrupting; once more kills\n"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT as Python takes it, also where the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_second_ctrl_c_while_the_first_is_being_told_of_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if len(said) == 1:
            send(signal.SIGINT)

    monkeypatch.setattr(signals, "_say", say)
    with cancelling() as switch:
        switch.arm()
        send(signal.SIGINT)
    assert switch.level == 2
    assert said == ["interrupting; once more kills", "killing"]


@pytest.mark.usefixtures("interruptible")
def test_a_second_ctrl_c_while_the_first_turns_a_session_s_switch_kills() -> None:
    def again(level: int) -> None:
        if level == 1:
            send(signal.SIGINT)

    with turned_by_ctrl_c() as switch:
        switch.on_raise(again)
        send(signal.SIGINT)
    assert switch.level == 2


def test_wherever_the_second_signal_comes_the_level_does_not_fall() -> None:
    came = 0
    lines = [line for _, _, line in Level.raise_to.__code__.co_lines() if line is not None]
    for at in sorted(set(lines)):
        switch, heard = Level(), []
        switch.on_raise(heard.append)

        def trace(frame: FrameType, kind: str, _: Any, at: int = at, switch: Level = switch) -> Any:
            if frame.f_code is not Level.raise_to.__code__:
                return None
            if kind == "line" and frame.f_lineno == at:
                sys.settrace(None)
                frame.f_trace = None
                switch.raise_to(2)  # as a handler does
            return trace

        known = sys.gettrace()
        sys.settrace(trace)
        try:
            switch.raise_to(1)
        finally:
            sys.settrace(known)
        came += 2 in heard
        assert switch.level == max(heard), at
    assert came > 3
