"""A terminal that a command of the tests runs on, read to its last byte."""

import os
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals here", allow_module_level=True)

import fcntl
import pty
import termios

END = b"\0end of the screen\0"


class Screen:
    """A terminal, and the command on it.

    Our side keeps the terminal open, as what a closed one still held may be lost: the end is a mark behind the last
    byte.
    """

    def __init__(
        self, *arguments: str, stdin: int | None = None, out: bool = False, term: str = "xterm", columns: int = 100
    ) -> None:
        """Start the command; standard output is a pipe, or with `out` the terminal.

        With a standard input of its own, the command finds the terminal as the one that controls it.
        """
        self._ours, self._theirs = pty.openpty()
        self.shown = b""

        def controlling() -> None:
            fcntl.ioctl(2, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *arguments],
            stdin=self._theirs if stdin is None else stdin, stderr=self._theirs,
            stdout=self._theirs if out else subprocess.PIPE,
            start_new_session=True, preexec_fn=None if stdin is None else controlling,
            env=os.environ | {"TERM": term, "COLUMNS": str(columns)},
        )  # fmt: skip
        threading.Thread(target=self._mark, daemon=True).start()

    def type(self, text: bytes, *, after: bytes) -> None:
        """Type `text` when `after` is shown."""
        while after not in self.shown:
            assert self._read(), self.shown.decode()
        os.write(self._ours, text)

    def end(self) -> tuple[int, str, str]:
        """Exit code, standard output, and what was shown."""
        while self._read():
            pass
        out, _ = self.process.communicate()
        os.close(self._ours)
        os.close(self._theirs)
        return self.process.returncode, (out or b"").decode(), self.shown.removesuffix(END).decode()

    def _read(self) -> bool:
        try:
            self.shown += os.read(self._ours, 65536)
        except OSError:  # Linux says so of a terminal that is gone
            return False
        return not self.shown.endswith(END)

    def _mark(self) -> None:
        self.process.wait()
        with suppress(OSError):  # a terminal that controlled the command may be gone with it: reading ends by itself
            os.write(self._theirs, END)
