"""What a run puts on the record for others: files, objects, console lines and captures, on every rank.

The verbs of :class:`fieldbook.Run` are for the training and say nothing on ranks that are muted; these are for what
captures without being asked, and for the modules behind the verbs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from . import journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .spool import Source
    from .writer import Writer


class Recording:
    """The part of a run that writes records. Nothing here raises for trouble of the machine."""

    _disabled: bool
    _finished: bool
    _pid: int
    _folder: str
    _writer: Writer

    def _after_fork(self) -> None:
        raise NotImplementedError

    def _live(self) -> bool:
        """Whether records can be written, in this process's own journal."""
        if self._finished or self._disabled:
            return False
        if self._pid != os.getpid():
            self._after_fork()
        return True

    def _record(self, kind: int, value: Mapping[str, Any]) -> None:
        if self._live():
            self._writer.put(kind, value)

    def _spool(self) -> str:
        """The spool folder of this process's writer."""
        return os.path.join(self._folder, f"{self._writer.id}.files")

    def _attach(
        self,
        path: str,
        source: Source,
        *,
        name: str | None = None,
        kind: str = "file",
        mime: str | None = None,
        meta: Mapping[str, Any] | None = None,
        travel: str | None = None,
        link: bool = False,
    ) -> dict[str, Any] | None:
        """Keeps a file in the spool and names it under an attribute path.

        ``source`` and ``link`` as in :func:`fieldbook.spool.keep`, ``kind`` as FILE of docs/formats/journal.md has it. Returns what the spool
        returned; None when nothing is recorded.
        """
        if not self._live():
            return None
        from . import spool

        if name is None:
            of_path = isinstance(source, (str, os.PathLike))
            name = os.path.basename(source) if of_path else path.rpartition("/")[2]  # type: ignore[arg-type]
        kept = spool.keep(self._spool(), source, name or "file", link=link)
        body = {"path": path, **kept, "mime": mime, "kind": kind, "meta": meta, "travel": travel}
        self._record(journal.FILE, body)
        return kept

    def _capture(self, section: str, data: Mapping[str, Any]) -> None:
        """One section of what was captured; a later one of its name replaces it."""
        self._record(journal.CAPTURE, {"section": section, "data": data})

    def _console(self, stream: int, text: str, flags: int = 0) -> None:
        """Whole lines of the console, separated by newlines. ``stream`` and ``flags`` as in :mod:`fieldbook.journal`."""
        if not self._live():
            return
        import time

        now = time.time() * 1000.0
        for piece in _console_pieces(text):
            self._writer.put_bytes(journal.CONSOLE, journal.console(now, stream, flags, piece))

    def _object(self, path: str, step: float | None, body: Mapping[str, Any]) -> None:
        """One point of a series of objects; ``body`` has ``kind`` and what belongs to it (OBJECT of journal.md)."""
        if self._live():
            self._writer.put_object(path, step, body)


def _console_pieces(text: str) -> Iterable[str]:
    """The text in pieces of one record each, cut at the ends of lines where there are any. A character has up to four bytes."""
    limit = journal.CONSOLE_LIMIT // 4
    while len(text) > limit:
        cut = text.rfind("\n", 1, limit)
        yield text[:cut] if cut > 0 else text[:limit]
        text = text[cut + 1 :] if cut > 0 else text[limit:]
    yield text
