"""The lock by which the kernel says that a writer lives.

An open file description lock belongs to the open file: it ends with the process however that dies, ``kill -9``
included; closing another descriptor of the same file does not lose it, as it would a POSIX lock; and ``/proc/locks``
shows it in every pid namespace, as it does not show ``flock``. docs/formats/journal.md says how readers ask.
"""

from __future__ import annotations

import struct
import sys

try:
    import fcntl
except ImportError:  # Windows: pid and start time answer there
    fcntl = None  # type: ignore[assignment]


def hold(fd: int) -> str | None:
    """Locks the whole file for as long as it is open: ``"ofd"``, ``"flock"``, or None where there are no locks."""
    if fcntl is None:
        return None
    set_lock = getattr(fcntl, "F_OFD_SETLK", None)
    if set_lock is not None and sys.platform == "linux" and struct.calcsize("P") == 8:
        try:
            # struct flock of 64-bit Linux: type, whence, start, length (0: to the end), pid (0, as OFD locks demand)
            fcntl.fcntl(fd, set_lock, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
            return "ofd"
        except OSError:
            pass
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return "flock"
    except OSError:
        return None
