"""Running commands under ``fieldbook run`` as processes of their own, and on terminals of their own."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fieldbook import journal
from fieldbook.journal_reader import Journal
from support import SOURCE, Home

LAUNCHER = [sys.executable, "-m", "fieldbook", "run"]


def environ(home: Home, **variables: str) -> dict[str, str]:
    """With everything captured, as for a user; other tests switch that off."""
    inherited = {name: value for name, value in os.environ.items() if name != "FIELDBOOK_CAPTURE"}
    return {**inherited, "PYTHONPATH": str(SOURCE), "FIELDBOOK_HOME": str(home.path), **variables}


def launch(home: Home, *words: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command to its end; options of ours first, as on a command line."""
    return subprocess.run(
        [*LAUNCHER, *words],
        env=environ(home, **variables),
        cwd=cwd or home.path.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def begin(home: Home, *words: str, cwd: Path | None = None, **variables: str) -> subprocess.Popen[str]:
    """The same, going on: its stdout is a pipe, in a process group of its own."""
    return subprocess.Popen(
        [*LAUNCHER, *words],
        env=environ(home, **variables),
        cwd=cwd or home.path.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def until(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Waits for a condition to hold and returns what it said."""
    end = time.monotonic() + seconds
    while True:
        said = condition()
        if said:
            return said
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def console(found: Journal) -> dict[int, str]:
    """What the console says by stream, without unfinished lines."""
    texts: dict[int, list[str]] = {}
    for data in found.of(journal.CONSOLE):
        if not data["flags"] & journal.CONSOLE_OPEN:
            texts.setdefault(data["stream"], []).append(data["text"])
    return {stream: "\n".join(lines) for stream, lines in texts.items()}


def attributes(found: Journal) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for data in found.of(journal.ATTRS):
        values.update(data["set"])
    return values


class Terminal:
    """A process on a pseudo-terminal, driven by keys."""

    def __init__(self, argv: list[str], env: dict[str, str], cwd: Path, rows: int = 30, columns: int = 100) -> None:
        self.pid, self.master = os.forkpty()
        if self.pid == 0:
            try:
                os.chdir(cwd)
                os.execvpe(argv[0], argv, env)
            finally:
                os._exit(126)
        self.output = b""
        self.resize(rows, columns)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def says(self, text: str, seconds: float = 30.0) -> str:
        """Waits until something is on the screen; returns everything that was printed until then."""
        end = time.monotonic() + seconds
        while text.encode() not in self.output:
            ready, _, _ = select.select([self.master], [], [], max(0.0, end - time.monotonic()))
            try:
                piece = os.read(self.master, 65536) if ready else b""
            except OSError:
                piece = b""
            assert piece, f"waited in vain for {text!r}; the terminal said {self.output.decode(errors='replace')!r}"
            self.output += piece
        return self.output.decode(errors="replace")

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.master)

    def wait(self, seconds: float = 30.0) -> int:
        """The exit code, or minus the signal."""
        end = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self.master], [], [], 0.02)
            if ready:
                try:
                    self.output += os.read(self.master, 65536)
                except OSError:
                    pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status) if hasattr(os, "waitstatus_to_exitcode") else status
            assert time.monotonic() < end, f"it did not end; the terminal said {self.output.decode(errors='replace')!r}"

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self.master)
