"""How a run learns that its process ends: exit, an exception nobody caught, ``sys.exit``, SIGTERM, fork.

Everything is chained to what was there before, and only what nobody else handles is handled: a script's own SIGTERM
handler stays. What no process can hear (``kill -9``, ``os._exit``, a segfault) is told by the lock that the kernel drops.
"""

from __future__ import annotations

import atexit
import builtins
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

from . import environment, preemption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .run import Run

_runs: dict[int, Run] = {}
_installed = False
_exit_status: Any = None
_previous_excepthook: Callable[..., Any] = sys.excepthook
_previous_exit: Callable[..., Any] = sys.exit


def watch(run: Run) -> None:
    """Ends ``run`` when the process ends."""
    global _installed, _previous_excepthook, _previous_exit
    _runs[id(run)] = run
    if not _installed:
        _installed = True
        atexit.register(_at_exit)
        _previous_excepthook, sys.excepthook = sys.excepthook, _excepthook
        _previous_exit, sys.exit = sys.exit, _exit  # type: ignore[assignment]
        _watch_quitters()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_in_child)
    _watch_worker()
    _handle_sigterm()
    preemption.watch(lambda: list(_runs.values()))


def _is_worker() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _watch_worker() -> None:
    """A multiprocessing worker may leave through ``os._exit``, after multiprocessing's own finalisers only."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None and _is_worker():
        util.Finalize(None, _at_worker_exit, exitpriority=0)


def forget(run: Run) -> None:
    """The run has ended."""
    _runs.pop(id(run), None)
    if not _runs and signal.getsignal(signal.SIGTERM) is _on_sigterm and _in_main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _at_exit() -> None:
    if _is_worker():
        return _at_worker_exit()
    for run in list(_runs.values()):
        run._end_with(_sys_exit())
    return None


def _sys_exit() -> SystemExit | None:
    return None if _exit_status is None or _exit_status == 0 else SystemExit(_exit_status)


def _at_worker_exit() -> None:
    # Up to Python 3.12 an exception of the worker's function is on its way just now.
    error = sys.exc_info()[1] or _sys_exit() or _worker_code()
    for run in list(_runs.values()):
        run._end_with(error)


def _worker_code() -> SystemExit | None:
    """Since Python 3.13 only the exit code is left, in the frame that is about to call ``os._exit`` with it."""
    if sys.version_info < (3, 13):
        return None
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        code = frame.f_locals.get("code") if frame.f_globals.get("__package__") == "multiprocessing" else None
        if isinstance(code, int):
            return SystemExit(code) if code != 0 else None
        frame = frame.f_back
    return None


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    for run in list(_runs.values()):
        run._end_with(error)
    _previous_excepthook(kind, error, trace)


def _exit(status: Any = None, /) -> None:
    """``sys.exit`` that remembers its argument: by the time of atexit nothing else in Python knows it."""
    _remember(status)
    _previous_exit(status)


def _remember(status: Any) -> None:
    global _exit_status
    if _in_main_thread():  # elsewhere it ends a thread, not the process
        _exit_status = status


def _watch_quitters() -> None:
    """``exit(3)`` and ``quit(3)`` as builtins, which raise without asking ``sys.exit``."""
    quitter: Any = type(getattr(builtins, "exit", None))
    if quitter.__module__ != "_sitebuiltins":
        return  # python -S, IPython and frozen programs have none or their own
    leave = quitter.__call__

    def call(self: Any, code: Any = None) -> None:
        _remember(code)
        leave(self, code)

    quitter.__call__ = call


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _handle_sigterm() -> None:
    try:
        if _in_main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _on_sigterm)
    except (ValueError, OSError):
        pass


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    """Says so in the journal, then lets the signal do what it would have done."""
    busy = next((run._writer for run in _runs.values() if run._writer.busy()), None)
    if busy is not None:
        busy.later(_terminate)  # inside one of our own writes: right after it
        return
    _terminate()


def _terminate() -> None:
    status = "preempted" if environment.preempts(signal.SIGTERM) else "failed"
    for run in list(_runs.values()):
        run._close(status, None, error="terminated by SIGTERM", signal=int(signal.SIGTERM))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


def _in_child() -> None:
    """After a fork: the child lets go of the parent's lock, and dies of SIGTERM as if we were not there."""
    if signal.getsignal(signal.SIGTERM) is _on_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    preemption.unwatch()
    for run in list(_runs.values()):
        run._writer.abandon()
    _runs.clear()
