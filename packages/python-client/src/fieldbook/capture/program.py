"""Runs a program of the machine for its output: with a time limit, a size limit, and an end when it is no longer wanted."""

from __future__ import annotations

import os
import selectors
import subprocess
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

#: How often a program that is slow is asked whether anybody still waits for it.
LOOK_S = 0.2
ERROR_BYTES = 8 * 1024


class Output:
    """What a program said. ``status`` is None when it was stopped, and ``trouble`` says why: ``time`` or ``size``."""

    __slots__ = ("error", "out", "status", "trouble")

    def __init__(self, out: bytes, error: str, status: int | None, trouble: str | None) -> None:
        self.out = out
        self.error = error
        self.status = status
        self.trouble = trouble

    @property
    def text(self) -> str:
        return self.out.decode("utf-8", "replace")


def run(
    argv: Sequence[str],
    *,
    folder: str | None = None,
    seconds: float = 10.0,
    limit: int = 16 * 1024 * 1024,
    environ: Mapping[str, str] | None = None,
    unwanted: Callable[[], bool] | None = None,
) -> Output | None:
    """Output of ``argv``, or None when there is no such program."""
    try:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env=None if environ is None else dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except (OSError, ValueError):
        return None
    assert process.stdout is not None
    assert process.stderr is not None
    out, error = bytearray(), bytearray()
    trouble = None
    end = monotonic() + seconds
    with process, selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, out)
        selector.register(process.stderr, selectors.EVENT_READ, error)
        while selector.get_map():
            for key, _ in selector.select(max(0.0, min(LOOK_S, end - monotonic()))):
                piece = os.read(key.fd, 1 << 16)
                if not piece:
                    selector.unregister(key.fileobj)
                elif key.data is out:
                    out += piece
                elif len(error) < ERROR_BYTES:
                    error += piece
            if len(out) > limit:
                trouble = "size"
            elif monotonic() >= end or (unwanted is not None and unwanted()):
                trouble = "time"
            if trouble:
                process.kill()
                break
        status = None if trouble else process.wait()
    return Output(bytes(out[:limit]), error.decode("utf-8", "replace").strip(), status, trouble)
