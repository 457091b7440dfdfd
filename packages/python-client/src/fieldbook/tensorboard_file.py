"""One TensorBoard event file that somebody may be writing: what is whole is read, the rest waited for."""

from __future__ import annotations

import os
from time import monotonic

from . import tensorboard
from .console import warn_once
from .tensorboard_bytes import FRAME_HEAD_BYTES, FRAME_LIMIT, Damaged, frame_at, length_of, wanted_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Bytes of one read; a larger frame is read whole.
PIECE = 4 * 1024 * 1024
#: A damaged place may be bytes that a network file system has not delivered yet.
PATIENCE_S = 15.0


class EventFile:
    """One event file and how far it has been read."""

    def __init__(self, path: str, offset: int = 0) -> None:
        self.path = path
        #: What stands before its tags; None until it has said something.
        self.prefix: str | None = None
        self.offset = offset
        self.size = -1
        self.meaning = tensorboard.Meaning()
        self.damaged_since: float | None = None
        self.given_up = False

    def read(self, limit: int = 1 << 62) -> list[tensorboard.Point]:
        """What whole events behind the last read say, up to about ``limit`` bytes; empty when there is nothing new."""
        found: list[tensorboard.Point] = []
        if self.given_up:
            return found
        try:
            size = os.stat(self.path).st_size
            if size == self.size:
                return found
            with open(self.path, "rb", buffering=0) as file:
                taken = self._frames(file, size, limit, found)
        except FileNotFoundError:
            self.given_up = True  # rotated away; what was read is recorded
            return found
        except OSError:
            return found
        self.size = size if taken else -1
        return found

    def _frames(self, file: Any, size: int, limit: int, found: list[tensorboard.Point]) -> bool:
        """Reads frame after frame; True when nothing more can be had before the file grows."""
        end = self.offset + limit
        wanted = PIECE
        while self.offset < size:
            if self.offset >= end:
                return False
            file.seek(self.offset)
            data = memoryview(file.read(min(wanted, size - self.offset)))
            at = 0
            try:
                while True:
                    frame = frame_at(data, at)
                    if frame is None:
                        break
                    event, at = frame
                    self.damaged_since = None
                    try:
                        found += self.meaning.points(event)
                    except Damaged:
                        self.meaning.unknown += 1
            except Damaged as error:
                self.offset += at
                self._damaged(str(error))
                return self.given_up
            self.offset += at
            if at == 0:
                wanted = max(wanted_bytes(data, 0), PIECE)
                if wanted > min(size - self.offset, FRAME_LIMIT + 16):
                    return True  # the rest of this frame has not been written
            else:
                wanted = PIECE
        return True

    def _damaged(self, reason: str) -> None:
        now = monotonic()
        self.damaged_since = self.damaged_since or now
        if now - self.damaged_since >= PATIENCE_S:
            self.give_up(reason)

    def give_up(self, reason: str) -> None:
        """Nothing behind this place can be read."""
        self.given_up = True
        warn_once(
            f"tensorboard {self.path}",
            f"{self.path} is damaged at byte {self.offset} ({reason}); what is before it is recorded.",
        )


def boundary(path: str, size: int) -> int:
    """Where the first frame ends that reaches ``size``: by their lengths, without reading what is in them."""
    at = 0
    with open(path, "rb", buffering=0) as file:
        while at < size:
            file.seek(at)
            head = file.read(FRAME_HEAD_BYTES)
            if len(head) < FRAME_HEAD_BYTES:
                break
            after = at + length_of(head) + FRAME_HEAD_BYTES + 4
            if after > size:
                break  # it was being written when we came: it is new
            at = after
    return at
