"""The switch that Ctrl-C turns: level 0 go on, 1 interrupt and restore, 2 kill."""

from nbpipeline.executors.local import Level

CancelSwitch = Level
"""Fills `ports.Cancel`; `raise_to` may be called from a signal handler."""
