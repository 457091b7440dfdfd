"""One launched command from its start to its exit code. Everything that starts a process or a thread is put together here."""

from __future__ import annotations

import os
import signal

from . import environment
from .capture import switches
from .console import warn
from .launch import IGNORE_HUP, SIGNAL_FD, refused
from .launch_child import Streams, copy_terminal, start
from .launch_parts import EventFiles, Surroundings
from .launch_pump import Pump, Signals
from .launch_record import Part, Plan, Recorder
from .launch_terminal import RawTerminal, in_foreground, is_terminal

#: What a Python process in the run need not capture itself; how Python itself sees things is left to it.
RECORDED = ("console", "code", "diff", "untracked", "config", "environment", "variables", "gpus", "system")


def run(plan: Plan, command: list[str], grace: dict[str, float]) -> int:
    """Runs and records the command; returns the exit code."""
    on = switches.resolve(home=plan.home)
    terminals = [is_terminal(fd) for fd in (0, 1, 2)]
    streams = Streams(in_is_terminal=terminals[0], out_is_terminal=terminals[1], err_is_terminal=terminals[2])
    terminal = RawTerminal(0) if terminals[0] and streams.master is not None else None
    if streams.master is not None:
        like = terminals.index(True, 1)
        # Newlines are translated once: by the command's terminal when ours is raw, else by ours.
        copy_terminal(streams, like, raw_output=terminal is None or not in_foreground(0))

    recorder: Recorder | None = None
    pump: Pump | None = None

    def told(number: int) -> None:
        if recorder is not None:
            recorder.signalled(number)
        seconds = grace.get(environment.signal_name(number))
        if seconds is not None and pump is not None:
            pump.kill_after(seconds)

    signals = Signals(told)
    if os.environ.pop(IGNORE_HUP, "") == "1":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals.install()
    variables = _variables(plan, on)
    wrapper = _wrapper_fd(variables)
    try:
        child = start(command, variables, streams, signals.before, (0, terminal.saved) if terminal else None)
    except OSError as error:
        return refused(command[0], error)

    recorder = Recorder(plan, _parts(plan, child.pid, on))
    pump = Pump(child, streams, signals, terminal, recorder.printed)
    recorder.start(console="console" in on)
    signals.attach(child)
    if wrapper is not None:
        signals.listen(wrapper)
    try:
        ended, held_open = pump.run()
    finally:
        pump.close()
    # A pty that nobody reads any more would hang up who still writes to it: the keeper goes on reading.
    child.leave(handed_over=held_open)
    recorder.finish(ended)
    if ended.code is None and ended.signal is None:
        warn("the command's keeper was killed; how the command ended is not known.")
    return ended.status


def _variables(plan: Plan, on: switches.Switches) -> dict[str, str]:
    """The command's environment: ours, and which run it belongs to."""
    variables = dict(os.environ)
    variables.pop(SIGNAL_FD, None)
    if variables.get("LC_CTYPE") in _COERCED and not _was_given(b"LC_CTYPE"):
        del variables["LC_CTYPE"]
    variables[environment.RUN_ID] = plan.run_id
    variables[environment.PARENT] = f"{os.getpid()}:{plan.writer}:{plan.project_id}"
    variables[environment.RECORDED] = f"{plan.run_id}:{','.join(name for name in RECORDED if name in on)}"
    return variables


#: What Python sets for itself, and so for its children, when it finds the C locale (PEP 538).
_COERCED = ("C.UTF-8", "C.utf8", "UTF-8")


def _was_given(name: bytes) -> bool:
    """Whether this process was started with the variable; True where nobody can say."""
    try:
        with open("/proc/self/environ", "rb") as file:
            return any(entry.startswith(name + b"=") for entry in file.read().split(b"\0"))
    except OSError:
        return True


def _wrapper_fd(variables: dict[str, str]) -> int | None:
    text = os.environ.pop(SIGNAL_FD, "")
    if not text.isdigit():
        return None
    fd = int(text)
    try:
        os.set_inheritable(fd, False)
        return fd
    except OSError:
        return None


def _parts(plan: Plan, pid: int, on: switches.Switches) -> list[Part]:
    parts: list[Part] = []
    if plan.first:
        parts.append(EventFiles(plan, pid))
    else:
        # Once per node, by its first rank, and there only how the machine is doing.
        on = on.only("system", "gpus") if environment.rank()[1] in (0, None) else switches.NOTHING
    # Within a recorded command everything around us is captured, and our processes are in the tree that is sampled.
    inside = plan.parent is not None and environment.process_start(plan.parent["pid"]) is not None
    if not inside and on:
        parts.append(Surroundings(plan, pid, on))
    return parts
