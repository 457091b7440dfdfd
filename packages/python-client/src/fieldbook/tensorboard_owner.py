"""Whose event file is this? Two recorded commands may run in one folder, and each must get its own points only.

The kernel knows: a process that has the file open, or whose id is part of the file's name, carries ``FIELDBOOK_RUN_ID`` in
its environment or descends from the command. Where nobody can be asked any more (the file was written and closed
between two looks) or at all (no ``/proc``) a file that is new since the command's start counts as the command's.
"""

from __future__ import annotations

import os
import re

from . import environment

OURS = "ours"
FOREIGN = "foreign"
#: Somebody has it who says nothing of a run.
STRANGER = "stranger"
#: Nobody has it.
NOBODY = "nobody"

_PID = re.compile(r"\.(\d{1,10})\.\d+(?:\.v2)?\Z")
#: Processes looked at for one question; a machine with more is asked in part.
PROCESSES_LIMIT = 5000


class Owners:
    """Answers for one run, whose command is process ``pid``."""

    def __init__(self, run_id: str, pid: int, proc: str = "/proc") -> None:
        self._run_id = run_id
        self._pid = pid
        self._proc = proc
        self.usable = os.path.isdir(os.path.join(proc, "self"))

    def of(self, paths: list[str]) -> dict[str, str]:
        """For each path one of the words above."""
        if not self.usable:
            return dict.fromkeys(paths, NOBODY)
        holders = self._holders({os.path.realpath(path): path for path in paths})
        answers: dict[str, str] = {}
        for path in paths:
            pids = holders.get(path, [])
            named = _PID.search(path)
            if not pids and named is not None and os.path.isdir(f"{self._proc}/{named[1]}"):
                pids = [int(named[1])]
            said = [self._asked(pid) for pid in pids]
            answers[path] = next((word for word in (OURS, FOREIGN, STRANGER) if word in said), NOBODY)
        return answers

    def _holders(self, wanted: dict[str, str]) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        own = os.getuid() if hasattr(os, "getuid") else None
        for name in [name for name in os.listdir(self._proc) if name.isdigit()][:PROCESSES_LIMIT]:
            folder = f"{self._proc}/{name}"
            try:
                if own not in (0, None) and os.stat(folder).st_uid != own:
                    continue
                for fd in os.listdir(f"{folder}/fd"):
                    target = os.readlink(f"{folder}/fd/{fd}")
                    if target in wanted:
                        found.setdefault(wanted[target], []).append(int(name))
            except OSError:
                continue  # it ended, or is not ours to look into
        return found

    def _asked(self, pid: int) -> str:
        try:
            with open(f"{self._proc}/{pid}/environ", "rb") as file:
                variables = file.read(1 << 20).split(b"\0")
        except OSError:
            variables = []
        prefix = environment.RUN_ID.encode() + b"="
        for variable in variables:
            if variable.startswith(prefix):
                return OURS if variable[len(prefix) :].decode("utf-8", "replace") == self._run_id else FOREIGN
        return OURS if self._descends(pid) else STRANGER

    def _descends(self, pid: int) -> bool:
        for _ in range(64):
            if pid == self._pid:
                return True
            try:
                with open(f"{self._proc}/{pid}/stat", "rb") as file:
                    pid = int(file.read(4096).rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                return False
            if pid <= 1:
                return False
        return False
