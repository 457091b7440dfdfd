"""What is captured of one run inside its own process: how it begins, ends, and goes on in a forked child."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

from .. import environment, redaction
from ..console import warn_once
from . import console, link, packages, parameters, source
from .switches import NOTHING, SLOW, Switches, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..run import Run

_sessions: dict[int, Session] = {}
#: The process whose companion has a voice.
_spoken = 0


class Session:
    """The captures of one run in this process."""

    def __init__(self, run: Run, switches: Switches) -> None:
        self.run = run
        self.switches = switches
        self.console: console.Console | None = None
        self.link: link.Link | None = None
        #: The companion is that of a run above in this process.
        self.shared = False
        self.notebook: Any = None
        self.entry = source.entry_point()
        self.pid = os.getpid()

    def begin(self) -> None:
        run, on = self.run, self.switches
        redaction.learn_environment(os.environ)
        first = not run._muted
        if first and "notebook" in on:
            _guarded("notebook", self._begin_notebook)
        if first and "params" in on:
            _guarded("params", self._begin_params)
        elif first:
            tell_command(run)
        if self._wants_companion() and not self._share():
            self.link = link.start(self._message(), on.exit_wait)
        if first and "console" in on:
            self.console = console.start(run)

    def _begin_params(self) -> None:
        if "argparse" in sys.modules:
            from . import parsers

            parsers.find_namespaces()
        parameters.begin(self.run)

    def end(self, status: str) -> None:
        parameters.end(self.run)
        if self.notebook is not None:
            self._unhook()
            _guarded("notebook", self.notebook.write)
        if self.link is not None and self.shared:
            self.link.send({"leave": self.run.id})
        elif self.link is not None:
            _guarded("modules", lambda: self._end_companion(status))
        if self.console is not None:
            _guarded("console", self._end_console)

    def _end_console(self) -> None:
        if self.console is not None:
            console.stop(self.console)

    def _end_companion(self, status: str) -> None:
        assert self.link is not None
        if self.notebook is None:
            self.link.send({"modules": self._modules()})
        self.link.end({"end": status})
        link.show(self.link)

    def _wants_companion(self) -> bool:
        run = self.run
        _, local_rank, _ = environment.rank()
        if run._muted:
            # Once per node, by the first rank of it, and there only how the machine is doing.
            self.switches = self.switches.only("system", "gpus")
            if local_rank not in (0, None):
                return False
        if not self.switches.slow:
            return False
        # A process that was started by another one of this run, here, is within the tree that is sampled already.
        parent = run._parent
        return not (parent is not None and environment.process_start(parent["pid"]) is not None)

    def _share(self) -> bool:
        """A run in a run of this process needs no companion of its own: that of the run above says in both what it captures.

        Not when it is to capture what the one above does not.
        """
        run = self.run
        above = next((one for one in _sessions.values() if one.run.id == run._above and one.pid == os.getpid()), None)
        if above is None or above.link is None:
            return False
        wanted = {name for name in self.switches.on if name in self.switches} & SLOW
        if not wanted - {"system"} <= {name for name in above.switches.on if name in above.switches}:
            return False
        about = {
            "project": run._typed_project,
            "project_id": run.project,
            "run": run.id,
            "home": _home(run),
            "writer": run._writer.id,
            "switches": sorted(wanted),
        }
        if not above.link.send({"join": about, "modules": self._modules()}):
            return False
        self.link, self.shared = above.link, True
        return True

    def _message(self) -> dict[str, Any]:
        run = self.run
        rank, _, _ = environment.rank()
        prefix = "sys"
        if run._muted or rank:
            # Other machines than the first rank's: one line of a chart for each.
            prefix = f"sys/{(environment.host() or f'rank-{rank}')[:100]}"
        return {
            "project": run._typed_project,
            "project_id": run.project,
            "run": run.id,
            "home": _home(run),
            "writer": run._writer.id,
            "created": run._created,
            "pid": os.getpid(),
            "pid_start": environment.process_start(os.getpid()),
            "switches": self.switches.to_json(),
            "metrics": prefix,
            "cwd": _cwd(),
            "entry": self.entry,
            "argv": _within([str(word)[:1000] for word in getattr(sys, "argv", [])], 12_000),
            "sys_path": _within([os.path.abspath(path) for path in sys.path if isinstance(path, str)], 12_000),
            "python": packages.interpreter(),
            "modules": _within(self._modules(), 12_000),
            "notebook": self.notebook.hints() if self.notebook is not None else None,
            "notices": self._notices(),
            "secrets": _within(redaction.known_secrets(), 8_000),
            "nvml": os.environ.get(environment.NVML) or None,
        }

    def _notices(self) -> str:
        """Where the companion says what a person should hear; of many runs in one process only the first says it."""
        global _spoken
        if _spoken == os.getpid():
            return "none"
        _spoken = os.getpid()
        return "pipe" if self.notebook is not None else "stderr"

    def _modules(self) -> list[str]:
        """Files of local modules, as many as a message takes."""
        found: list[str] = []
        size = 0
        for path in source.loaded_modules(
            source.roots(
                self.entry, _cwd(), source.checkout_root(os.path.dirname(self.entry) if self.entry else _cwd())
            )
        ):
            size += len(path) + 8
            if size > link.MESSAGE_BYTES // 2:
                break
            found.append(path)
        return found

    # -- notebooks --------------------------------------------------------------------------------------------------

    def _begin_notebook(self) -> None:
        from . import notebook

        shell = notebook.shell()
        if shell is not None:
            self.notebook = notebook.Notebook(self.run, shell)
            shell.events.register("pre_run_cell", self._before_cell)
            shell.events.register("post_run_cell", self._after_cell)

    def _before_cell(self, *_: Any) -> None:
        console.ensure()

    def _after_cell(self, *_: Any) -> None:
        try:
            if self.pid != os.getpid():
                return
            self.notebook.after_cell()
            if self.link is not None and not self.shared:
                self.link.look()
                link.show(self.link)
        except Exception:
            pass

    def _unhook(self) -> None:
        from . import notebook

        try:
            notebook.shell().events.unregister("pre_run_cell", self._before_cell)
            notebook.shell().events.unregister("post_run_cell", self._after_cell)
        except Exception:
            pass


def hide(run: Run, options: Any) -> None:
    """Leaves the command line and the commit out of META where they are not to be captured."""
    switches = resolve(options, _home(run))
    hidden = set() if "command" in switches else {"argv", "cwd"}
    if "code" not in switches:
        hidden.add("git")
    run._hidden = frozenset(hidden)


def _home(run: Run) -> str:
    return os.path.dirname(os.path.dirname(os.path.dirname(run._folder)))


def begin(run: Run, options: Any) -> None:
    """Starts what the switches ask for."""
    switches = resolve(options, _home(run))
    recorded = environment.recorded(run.id)
    if recorded:
        switches = switches.without(recorded)
    elif run._above is not None and "system" in environment.recorded(run._above):
        # The launcher of the run above samples this process already.
        switches = switches.without(["system"])
    if not switches:
        return
    session = _sessions[id(run)] = Session(run, switches)
    session.begin()


def end(run: Run, status: str) -> None:
    """Ends it, before the journal is closed."""
    session = _sessions.pop(id(run), None)
    if session is not None and session.pid == os.getpid():
        session.end(status)


def forked(run: Run) -> None:
    """A forked child goes on with its parent's run: its console is its own, and the parent's companion sees the rest."""
    before = _sessions.pop(id(run), None)
    if before is None:
        return
    session = _sessions[id(run)] = Session(run, before.switches)
    if "console" in session.switches and not run._muted:
        session.console = console.start(run)


def switches_of(run: Run) -> Switches:
    """The switches that a run was begun with."""
    session = _sessions.get(id(run))
    return session.switches if session is not None else NOTHING


def tell_command(run: Run) -> None:
    """Section ``command``, again whenever another parser has parsed."""
    session = _sessions.get(id(run))
    if session is not None and "command" in session.switches and not run._muted:
        run._capture("command", parameters.command(session.entry))


def _within(words: list[str], limit: int) -> list[str]:
    """As many of the words as fit into so many bytes of JSON: one message must fit into a pipe."""
    found: list[str] = []
    for word in words:
        limit -= len(json.dumps(word)) + 1
        if limit < 0:
            break
        found.append(word)
    return found


def _guarded(what: str, work: Callable[[], None]) -> None:
    """One capture that fails leaves the others alone."""
    try:
        work()
    except Exception as error:
        warn_once(f"capture {what}", f"{what} could not be captured, please report this: {error!r}")


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None
