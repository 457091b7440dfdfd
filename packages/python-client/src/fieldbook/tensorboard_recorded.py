"""Which events a run's journals have beyond the last noted positions: a follower that was killed in between reads them again."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping

from . import journal, journal_reader

_NUMBER = re.compile(r"\.(\d{6,})\.fbj\Z")


class Recorded:
    """Events by path, step and time, each to be met once."""

    def __init__(self) -> None:
        self._left: Counter[tuple[str, float, float]] = Counter()

    def __bool__(self) -> bool:
        return bool(self._left)

    def read(self, folder: str, since: Mapping[str, int]) -> None:
        """Takes what the journals in ``folder`` hold of each writer from a sequence number on. What an agent has removed
        already, or what is damaged, is not known here."""
        for writer, first in since.items():
            for path in self._files(folder, writer):
                try:
                    with open(path, "rb") as file:
                        found = journal_reader.read(file.read())
                except (OSError, journal_reader.JournalCorrupt):
                    continue
                self._take(found, first)
                if found.first <= first:
                    break

    def meet(self, path: str, step: float, time_ms: float) -> bool:
        """Whether this event is among them; then it is not any more."""
        key = (path, step, time_ms)
        if key not in self._left:
            return False
        self._left[key] -= 1
        if self._left[key] <= 0:
            del self._left[key]
        return True

    def forget(self) -> None:
        """Everything was read again: what is left is of other origin."""
        self._left.clear()

    def _files(self, folder: str, writer: str) -> list[str]:
        """A writer's journals, the newest first."""
        try:
            names = [name for name in os.listdir(folder) if name.startswith(f"{writer}.") and _NUMBER.search(name)]
        except OSError:
            return []
        return [os.path.join(folder, name) for name in sorted(names, reverse=True)]

    def _take(self, found: journal_reader.Journal, first: int) -> None:
        for path, step, _, time_ms, ordinal in found.points():
            if ordinal >= first:
                self._left[path, step, time_ms] += 1
        for record in found.records:
            if record.kind == journal.OBJECT and not record.malformed and record.sequence >= first:
                data = record.data
                self._left[data["path"], float(data["step"]), float(data["time"])] += 1
