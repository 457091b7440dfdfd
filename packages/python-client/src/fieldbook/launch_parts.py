"""What is recorded beside a command's console: its event files, its surroundings, the load of its processes."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Mapping
from time import monotonic, time

from . import environment, journal, redaction, spool
from .capture import packages
from .capture.collect import Collector
from .capture.companion import FIRST_S
from .capture.program import run as run_program
from .capture.switches import Switches
from .console import warn
from .launch_params import entry_of, python_of
from .launch_pump import Ended
from .launch_record import DRAIN_S, Part, Plan
from .tensorboard_follow import Follower
from .tensorboard_owner import Owners
from .writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: How long captures may go on after the command has ended.
GRACE_S = 5.0
#: What starting the command's Python and reading its packages may take.
PYTHON_S = 20.0

_ASK_PYTHON = """\
import sys
path = [p for p in sys.path if p]
sys.path.insert(0, sys.argv[1])
import json
from fieldbook.capture import packages
print(json.dumps({"sys_path": path, "python": packages.interpreter()}))
"""


class EventFiles(Part):
    """TensorBoard event files that the command writes."""

    def __init__(self, plan: Plan, pid: int) -> None:
        owners = Owners(plan.run_id, pid)
        self._follower = Follower(plan.folders, plan.watch, owners, plan.home, plan.run_id)

    def start(self, writer: Writer) -> None:
        self._follower.start(writer)

    def stop(self, ended: Ended) -> None:
        self._follower.stop(DRAIN_S)


class Surroundings(Part):
    """Code, environment, configuration files and machine of the command, each once, and its load over time."""

    def __init__(self, plan: Plan, pid: int, on: Switches) -> None:
        self._plan = plan
        self._pid = pid
        self._on = on
        self._created = time() * 1000.0
        self._over = threading.Event()
        self._over_at: float | None = None
        self._captures: threading.Thread | None = None
        self._samples: threading.Thread | None = None

    def start(self, writer: Writer) -> None:
        redaction.learn_environment(os.environ)
        record = _Record(writer)
        if self._plan.first and "command" in self._on:
            self._command(record)
        self._captures = threading.Thread(target=self._run, args=(record,), name="fieldbook-captures", daemon=True)
        self._captures.start()

    def stop(self, ended: Ended) -> None:
        self._over_at = monotonic()
        self._over.set()
        for thread in (self._captures, self._samples):
            if thread is not None:
                thread.join(GRACE_S)

    def _run(self, record: _Record) -> None:
        try:
            about = self._about()
            collector = Collector(record, about, self._on, self._unwanted, self._notice)  # type: ignore[arg-type]
            if "system" in self._on:
                self._samples = threading.Thread(
                    target=self._sample, args=(collector, record.writer), name="fieldbook-system", daemon=True
                )
                self._samples.start()
            if self._plan.first:
                collector.run()
        except Exception as error:
            warn(f"the surroundings could not be captured, please report this: {error!r}")

    def _unwanted(self) -> bool:
        return self._over_at is not None and monotonic() - self._over_at >= GRACE_S

    def _notice(self, text: str) -> None:
        if text:
            warn(text)

    def _command(self, record: _Record) -> None:
        plan = self._plan
        record._capture(
            "command",
            {
                "argv": redaction.redact_argv([word[:4096] for word in plan.command[:1000]]),
                "entry": entry_of(plan.command, plan.folder),
                "module": None,
                "cwd": plan.folder,
                "interpreter_options": [],
                "launcher": "fieldbook run",
            },
        )

    def _about(self) -> dict[str, Any]:
        """What a collector wants to know. The Python is the command's, or the one that a script would find."""
        plan = self._plan
        program = python_of(plan.command) or shutil.which("python3") or shutil.which("python")
        said: dict[str, Any] = {}
        if program is not None and plan.first and ("packages" in self._on or "environment" in self._on):
            source = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
            answer = run_program([program, "-c", _ASK_PYTHON, source], folder=plan.folder, seconds=PYTHON_S)
            if answer is not None and answer.status == 0:
                try:
                    said = json.loads(answer.text)
                except ValueError:
                    pass  # it printed something of its own
        return {
            "pid": self._pid,
            "cwd": plan.folder,
            "entry": entry_of(plan.command, plan.folder),
            "argv": plan.command,
            "sys_path": said.get("sys_path", []),
            "python": said.get("python") or packages.interpreter(),
            "modules": [],
            "notebook": None,
            "nvml": os.environ.get(environment.NVML) or None,
        }

    def _sample(self, collector: Collector, writer: Writer) -> None:
        """Early samples first, so that a short run has some; the last one at the end."""
        sampler = collector.sampler()
        rank, _, world = environment.rank()
        prefix = "sys" if not rank or (world or 0) < 2 else f"sys/{(environment.host() or f'rank-{rank}')[:100]}"
        begun = monotonic()
        due = [at for at in FIRST_S if at < self._on.interval]
        next_ = due.pop(0) if due else self._on.interval
        over = False
        while not over:
            over = self._over.wait(max(0.0, begun + next_ - monotonic()))
            seconds = (time() * 1000.0 - self._created) / 1000.0
            step = round(seconds) if self._on.interval >= 1 else round(seconds, 1)
            writer.log({f"{prefix}/{name}": value for name, value in sampler.sample().items()}, step)
            next_ = due.pop(0) if due else max(next_ // self._on.interval * self._on.interval, 0.0) + self._on.interval
            # After a suspend of the machine, not all the samples that were missed.
            next_ = max(next_, monotonic() - begun)


class _Record:
    """The verbs of a run that captures use, for a bare writer."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self._folder = writer.folder

    def _capture(self, section: str, data: Mapping[str, Any]) -> None:
        self._put(journal.CAPTURE, {"section": section, "data": data})

    def _put(self, kind: int, value: Mapping[str, Any]) -> None:
        try:
            self.writer.put(kind, value)
        except ValueError:  # a float that JSON cannot say, from somebody's file
            pass

    def _attach(
        self,
        path: str,
        source: str | bytes,
        *,
        name: str | None = None,
        kind: str = "file",
        mime: str | None = None,
        meta: Mapping[str, Any] | None = None,
        travel: str | None = None,
        link: bool = False,
    ) -> dict[str, Any]:
        folder = os.path.join(self.writer.folder, f"{self.writer.id}.files")
        kept = spool.keep(folder, source, name or path.rpartition("/")[2] or "file", link=link)
        self._put(journal.FILE, {"path": path, **kept, "mime": mime, "kind": kind, "meta": meta, "travel": travel})
        return kept
