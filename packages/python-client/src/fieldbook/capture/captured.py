"""What a companion has captured of a process, for the process's run and for every run in that run.

A run in a run (:meth:`fieldbook.Run.child`) is of the same process: its code, packages and machine are captured once, and said
in each. Load over time is not: it is the process's, and stands in the run above.
"""

from __future__ import annotations

import threading

from .switches import Switches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..run import Run

#: The switch that a section, or a path beginning like this, hangs on; what is not listed is of ``environment``.
_SWITCHES = {
    "git": "code",
    "code": "snapshot",
    "source/diff.patch": "diff",
    "source/untracked/": "untracked",
    "source/files/": "snapshot",
    "source/notebook": "notebook",
    "variables": "variables",
    "packages": "packages",
    "conda": "packages",
    "environment/requirements.txt": "packages",
    "environment/conda": "packages",
    "config": "config",
    "gpus": "gpus",
}


def switch_of(name: str) -> str:
    """The switch that a captured section or file hangs on."""
    return next((switch for start, switch in _SWITCHES.items() if name.startswith(start)), "environment")


class Captured:
    """Records as a run does, in the run and in those that joined. May be called from any thread."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._folder = run._folder
        self._lock = threading.Lock()
        self._joined: dict[str, tuple[Run, Switches]] = {}
        self._left: set[str] = set()
        self._complete = False
        #: The last of each section and path, and every record of attributes, to be said again.
        self._said: dict[str, tuple[str, str, tuple[Any, ...], dict[str, Any]]] = {}

    def _capture(self, section: str, data: Mapping[str, Any]) -> None:
        self._say(f"section {section}", section, "_capture", section, data)

    def _attach(self, path: str, source: Any, **about: Any) -> None:
        self._say(f"file {path}", path, "_attach", path, source, **about)

    def _put(self, kind: int, value: Mapping[str, Any]) -> None:
        self._say(f"config {len(self._said)}", "config", "_put", kind, value)

    def _say(self, key: str, hangs_on: str, verb: str, /, *arguments: Any, **about: Any) -> None:
        switch = switch_of(hangs_on)
        with self._lock:
            self._said[key] = (switch, verb, arguments, about)
            getattr(self.run, verb)(*arguments, **about)
            for run, switches in self._joined.values():
                if switch in switches:
                    getattr(run, verb)(*arguments, **about)

    def join(self, run: Run, switches: Switches) -> None:
        """One more run of this process: it gets what was captured so far, and what comes until it leaves."""
        with self._lock:
            run._writer.open()
            self._joined[run._writer.id] = (run, switches)
            for switch, verb, arguments, about in self._said.values():
                if switch in switches:
                    getattr(run, verb)(*arguments, **about)

    def leave(self, run_id: str) -> None:
        """A run has ended. It still gets what is being captured just now."""
        with self._lock:
            self._left.update(writer for writer, (run, _) in self._joined.items() if run.id == run_id)
            if self._complete:
                self._close_left()

    def completed(self) -> None:
        """Everything was captured once."""
        with self._lock:
            self._complete = True
            self._close_left()

    def close(self) -> None:
        """The process ends: no run of it goes on."""
        with self._lock:
            self._left.update(self._joined)
            self._close_left()
            _close(self.run)

    def _close_left(self) -> None:
        for writer in self._left:
            _close(self._joined.pop(writer)[0])
        self._left.clear()


def _close(run: Run) -> None:
    run._writer.close({"status": "finished", "exit_code": 0, "signal": None, "error": None, "traceback": None})
