"""How much memory a kernel takes at its highest, cell by cell."""

from pathlib import Path

_RESET_PEAK = "5"


class PeakMemory:
    """Measures one process: the system's own high-water mark on Linux, else the highest sample."""

    def __init__(self, pid: int | None) -> None:
        """Take the kernel's pid; None where it is not a process of this machine."""
        self._pid = pid
        self._exact = False
        self._highest = 0

    def start(self) -> None:
        """Forget the peak so far."""
        self._highest = 0
        self._exact = self._reset_mark()
        self.sample()

    def _reset_mark(self) -> bool:
        if self._pid is None:
            return False
        try:
            Path(f"/proc/{self._pid}/clear_refs").write_text(_RESET_PEAK, encoding="ascii")
        except OSError:  # no Linux, or a kernel that this user may not look into
            return False
        return True

    def sample(self) -> None:
        """Look once; needed only where the system keeps no mark."""
        if self._exact or self._pid is None:
            return
        import psutil  # noqa: PLC0415 - start-up is counted

        try:
            self._highest = max(self._highest, int(psutil.Process(self._pid).memory_info().rss))
        except psutil.Error:
            return

    def stop(self) -> int | None:
        """Bytes resident at the highest since `start`; None where nobody can tell."""
        if not self._exact:
            self.sample()
            return self._highest or None
        try:
            status = Path(f"/proc/{self._pid}/status").read_text(encoding="ascii", errors="replace")
        except OSError:
            return None
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return None
