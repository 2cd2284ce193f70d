"""Signals, before a run has a plan and after."""

import os
import signal

import pytest

from nbpipeline.cli.signals import cancelling


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
