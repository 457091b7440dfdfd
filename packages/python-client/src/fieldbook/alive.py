"""Is a writer that has not said its last word alive? Asked of the kernel, in the order of docs/formats/journal.md."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


#: Silence after which a writer that cannot be asked is lost.
SILENCE_MS = 10 * 60_000
#: ``created`` is rounded, and clocks step: a process that began so much later is another one.
_SLACK_MS = 5_000


class Liveness:
    """Good for one look around: ``/proc/locks`` is read once, and again only where it would mean somebody's death."""

    def __init__(self) -> None:
        from . import environment

        self._boot = _text("/proc/sys/kernel/random/boot_id")
        self._pid_ns = _inode("/proc/self/ns/pid")
        self._host = os.environ.get(environment.HOST) or _host()
        self._locks: tuple[set[str], set[str]] | None = None

    def verdict(self, meta: Mapping[str, Any], about: os.stat_result, newest: float, now: float) -> str:
        """``running``, ``crashed`` or ``lost``. ``about`` is of the writer's newest file, ``newest`` its newest record's time in ms."""
        boot, pid = meta.get("boot"), meta.get("pid")
        if self._boot is not None and boot == self._boot:
            if pid is not None and meta.get("pid_ns") is not None and meta.get("pid_ns") == self._pid_ns:
                start = _start_of(pid)
                wanted = meta.get("pid_start")
                return "running" if start is not None and wanted in (None, start) else "crashed"
            if meta.get("lock") is not None:
                if self._locked(about):
                    return "running"
                # flock is hidden from other pid namespaces, so no line means nothing there.
                if meta.get("lock") != "flock":
                    return "crashed"
            return _silence(about, newest, now)
        if meta.get("host") is not None and meta.get("host") == self._host:
            if boot is not None and self._boot is not None:
                return "crashed"
            if boot is None and pid is not None:
                return "running" if _runs_since(pid, meta.get("created")) else "crashed"
        return _silence(about, newest, now)

    def _locked(self, about: os.stat_result) -> bool:
        place = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}"
        for fresh in (False, True):
            if self._locks is None or fresh:
                self._locks = _read_locks()
            places, inodes = self._locks
            # btrfs and overlayfs show another device in /proc/locks than in stat.
            if place in places or str(about.st_ino) in inodes:
                return True
        return False


def _silence(about: os.stat_result, newest: float, now: float) -> str:
    return "running" if now - max(newest, about.st_mtime * 1000) < SILENCE_MS else "lost"


def _read_locks() -> tuple[set[str], set[str]]:
    places = set()
    for line in (_text("/proc/locks") or "").splitlines():
        columns = line.replace("->", "").split()
        if len(columns) > 5 and columns[3] == "WRITE":
            places.add(columns[5])
    return places, {place.rpartition(":")[2] for place in places}


def _start_of(pid: int) -> int | None:
    """A process's start in clock ticks after boot: field 22, counted behind the last parenthesis, as its name may hold any."""
    text = _text(f"/proc/{pid}/stat")
    fields = [] if text is None else text[text.rfind(")") + 2 :].split()
    # A zombie has ended: nobody but its parent's table remembers it.
    return int(fields[19]) if len(fields) > 19 and fields[0] not in "ZX" else None


def _runs_since(pid: int, created: float | None) -> bool:
    """True when the process exists and did not begin after ``created``. Systems without /proc."""
    import subprocess
    import time

    try:
        said = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        ).stdout.strip()
        if not said:
            return False
        start = time.mktime(time.strptime(said)) * 1000
    except (OSError, subprocess.SubprocessError):
        return False
    except ValueError:
        return True
    return created is None or start <= created + _SLACK_MS


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


def _host() -> str:
    import socket

    return socket.gethostname()
