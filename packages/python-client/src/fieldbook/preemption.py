"""Signals by which a scheduler announces the end, noted in the journal without taking them from the script.

Only under Slurm and Kubernetes (:func:`fieldbook.environment.preempts`). A handler of the script, set before ``init`` or
after it, is called as it would be, and ``signal.getsignal`` answers with it; we only hear of the signal first. Where the
script has none the signal does what it would have done, and the run ends as ``preempted``.
"""

from __future__ import annotations

import os
import signal
import threading

from . import environment, journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from .run import Run

_NAMES = ("SIGTERM", "SIGUSR1", "SIGUSR2")
_runs: Callable[[], list[Run]] = list
_announced: dict[int, int] = {}
_real_signal: Any = None
_real_getsignal: Any = None


class _Noted:
    """A handler of the script's, with our note before it."""

    __slots__ = ("handler",)

    def __init__(self, handler: Any) -> None:
        self.handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> Any:
        note(number)
        return self.handler(number, frame)


def watch(runs: Callable[[], list[Run]]) -> None:
    """Notes such signals for the runs that ``runs`` returns. Only in the main thread, and only where a scheduler is."""
    global _runs, _real_signal, _real_getsignal
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    numbers = [number for number in numbers if environment.preempts(number)]
    if not numbers or _real_signal is not None or threading.current_thread() is not threading.main_thread():
        return
    _runs = runs
    _real_signal, _real_getsignal = signal.signal, signal.getsignal
    signal.signal, signal.getsignal = _signal, _getsignal  # type: ignore[assignment]
    for number in numbers:
        before = _real_getsignal(number)
        if before == signal.SIG_DFL and number != signal.SIGTERM:
            _real_signal(number, _default)
        elif callable(before) and not isinstance(before, int):
            _real_signal(number, _Noted(before))


def unwatch() -> None:
    """Gives everything back: for forked children and tests."""
    global _real_signal, _real_getsignal
    if _real_signal is None:
        return
    if signal.signal is _signal:
        signal.signal, signal.getsignal = _real_signal, _real_getsignal
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is None:
            continue
        now = _real_getsignal(number)
        if now is _default:
            _real_signal(number, signal.SIG_DFL)
        elif isinstance(now, _Noted):
            _real_signal(number, now.handler)
    _real_signal = _real_getsignal = None
    _announced.clear()


def note(number: int) -> None:
    """Says in the journals that a scheduler has announced the end."""
    for run in _runs():
        if _announced.get(id(run)) == signal.SIGTERM:
            continue
        _announced[id(run)] = number
        reason = f"{environment.signal_name(number)} from the scheduler"
        run._writer.put(journal.STATUS, {"status": "preempted", "signal": int(number), "reason": reason})


def ending(run: Run, status: str) -> str:
    """How a run ends that would end with ``status``: after SIGTERM of a scheduler every end is a preemption, after its early
    warning only a bad one."""
    announced = _announced.pop(id(run), None)
    if announced is None or (status == "finished" and announced != signal.SIGTERM):
        return status
    return "preempted"


def _signal(number: int, handler: Any) -> Any:
    if threading.current_thread() is threading.main_thread() and environment.preempts(number):
        if callable(handler) and not isinstance(handler, (int, _Noted)) and handler not in (_default,):
            return _plain(_real_signal(number, _Noted(handler)))
        if handler == signal.SIG_DFL and number != signal.SIGTERM:
            return _plain(_real_signal(number, _default))
    return _plain(_real_signal(number, handler))


def _getsignal(number: int) -> Any:
    return _plain(_real_getsignal(number))


def _plain(handler: Any) -> Any:
    if isinstance(handler, _Noted):
        return handler.handler
    return signal.SIG_DFL if handler is _default else handler


def _default(number: int, frame: FrameType | None) -> None:
    """A signal that nobody handles: noted, and then the end that it means."""
    note(number)
    for run in _runs():
        if run._writer.busy():
            run._writer.later(lambda: _die(number))  # inside one of our own writes: right after it
            return
    _die(number)


def _die(number: int) -> None:
    for run in _runs():
        run._close("preempted", None, error=f"killed by {environment.signal_name(number)}", signal=int(number))
    (_real_signal or signal.signal)(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
