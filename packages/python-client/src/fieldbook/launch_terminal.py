"""The user's terminal while a command of ``fieldbook run`` has one of its own: raw, and put back whatever happens."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
import termios
import tty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SIZE = struct.Struct("HHHH")


def is_terminal(fd: int) -> bool:
    """True for an open terminal; a closed descriptor is none."""
    try:
        return os.isatty(fd)
    except OSError:
        return False


def size_of(fd: int) -> bytes | None:
    """Rows, columns and pixels of a terminal, as the kernel packs them."""
    try:
        return fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * _SIZE.size)
    except OSError:
        return None


def set_size(fd: int, size: bytes) -> None:
    """Resizes a terminal; who runs in it hears SIGWINCH."""
    try:
        fcntl.ioctl(fd, termios.TIOCSWINSZ, size)
    except OSError:
        pass


def own_newlines(fd: int) -> None:
    """Makes a command's terminal translate newlines itself, now that the user's no longer does."""
    try:
        settings = termios.tcgetattr(fd)
        settings[1] |= termios.OPOST
        termios.tcsetattr(fd, termios.TCSANOW, settings)
    except (OSError, termios.error):
        pass


def in_foreground(fd: int) -> bool:
    """Whether this process may read the terminal: a background job must not. One that controls no session has no jobs."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError as error:
        return error.errno == errno.ENOTTY and is_terminal(fd)


def restore(fd: int, settings: list[Any]) -> None:
    """Puts settings back; a terminal that is gone needs none."""
    try:
        termios.tcsetattr(fd, termios.TCSADRAIN, settings)
    except (OSError, termios.error):
        pass


class RawTerminal:
    """The user's terminal, whose keys go to the command unread while :meth:`enter` holds."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.active = False
        self.saved: list[Any] = termios.tcgetattr(fd)

    def enter(self) -> None:
        """Raw from here on, if we are in the foreground."""
        if self.active or not in_foreground(self.fd):
            return
        try:
            self.saved = termios.tcgetattr(self.fd)
            tty.setraw(self.fd, termios.TCSADRAIN)
        except (OSError, termios.error):
            return
        self.active = True
        _Stderr.install(self)

    def leave(self) -> None:
        """As it was."""
        if self.active:
            self.active = False
            restore(self.fd, self.saved)
        _Stderr.remove()


class _Stderr:
    """Our own warnings, with the carriage returns that a raw terminal does not add."""

    _before: Any = None

    def __init__(self, inner: Any, terminal: RawTerminal) -> None:
        self._inner = inner
        self._terminal = terminal

    def write(self, text: str) -> int:
        if self._terminal.active:
            text = text.replace("\n", "\r\n")
        return int(self._inner.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @classmethod
    def install(cls, terminal: RawTerminal) -> None:
        if cls._before is None:
            cls._before = sys.stderr
            sys.stderr = cls(sys.stderr, terminal)

    @classmethod
    def remove(cls) -> None:
        if cls._before is not None:
            sys.stderr, cls._before = cls._before, None
