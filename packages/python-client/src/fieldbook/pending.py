"""What is on its way to a journal: a set of metrics logged together, a record, and what had to be dropped."""

from __future__ import annotations

import struct


class Shape:
    """A set of keys that is logged together: their numbers, and the packer of their record."""

    __slots__ = ("encoded", "epoch", "keys", "numbers", "pack")

    def __init__(self, keys: tuple[str, ...], numbers: tuple[int, ...]) -> None:
        count = len(numbers)
        self.keys = keys
        self.numbers = numbers
        self.encoded = struct.pack(f"<{count}I", *numbers)
        # sequence, type, time, step, all metric numbers, all values: checksummed as one piece
        self.pack = struct.Struct(f"<QBdd{4 * count}s{count}d").pack
        self.epoch = -1


class Item:
    """A record on its way: what to write, which metrics it names, and whether it may be dropped."""

    __slots__ = ("keep", "kind", "numbers", "payload", "points", "time")

    def __init__(
        self,
        kind: int,
        payload: bytes,
        time_ms: float,
        numbers: tuple[int, ...] = (),
        points: int = 0,
        keep: bool = False,
    ) -> None:
        self.kind = kind
        self.payload = payload
        self.time = time_ms
        self.numbers = numbers
        self.points = points
        self.keep = keep


class Gap:
    """What had to be dropped since the last GAP record."""

    def __init__(self) -> None:
        self.records = 0
        self.points = 0
        self.reason = ""
        self.first = 0.0
        self.last = 0.0

    def add(self, item: Item, reason: str) -> None:
        if self.records == 0:
            self.first = item.time
            self.reason = reason
        self.records += 1
        self.points += item.points
        self.last = item.time

    def join(self, earlier: Gap) -> None:
        """Takes in a gap that came before and could not be written."""
        if earlier.records == 0:
            return
        if self.records == 0:
            self.last = earlier.last
        self.first = earlier.first
        self.reason = earlier.reason
        self.records += earlier.records
        self.points += earlier.points
