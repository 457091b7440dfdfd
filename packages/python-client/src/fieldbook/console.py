"""Says things to the person at the terminal, once each, and never raises."""

from __future__ import annotations

import sys

_said: set[str] = set()


def warn(message: str) -> None:
    """One line on stderr. Not :mod:`warnings`: a filter could turn it into an exception inside a training."""
    try:
        sys.stderr.write(f"fieldbook: {message}\n")
        sys.stderr.flush()
    except Exception:
        pass


def warn_once(key: str, message: str) -> None:
    """The same, once per process and ``key``."""
    if key not in _said:
        _said.add(key)
        warn(message)
