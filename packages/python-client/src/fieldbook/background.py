"""The bounded queue and daemon thread that take over while a disk is slow, and hand back when it is not.

Only then: by default a training process has no thread of ours. While it runs, the file belongs to the thread and
callers only append to the queue; sequence numbers are given at the write, so what the queue refuses has none. Points
are refused when the queue is full and counted in a GAP record; parameters and statuses never are.
"""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from .console import warn

if TYPE_CHECKING:
    from .pending import Item
    from .writer import Writer

QUEUE_BYTES = 16 * 1024 * 1024
QUEUE_ITEMS = 200_000
BATCH_ITEMS = 1000
#: The disk has recovered when nothing was slow for so long.
CALM_S = 5.0
#: How long the end of a run waits for a disk that hangs.
STOP_S = 10.0


class Background:
    """Writes for a writer whose disk is slow."""

    def __init__(self, writer: Writer, slow_ms: float = 50.0) -> None:
        self._writer = writer
        self._slow_ms = slow_ms
        self._queue: deque[Item] = deque()
        self._bytes = 0
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="fieldbook-writer", daemon=True)
        self._thread.start()

    def offer(self, item: Item) -> bool:
        """Queues a record, under the writer's lock; False when it must be dropped."""
        if not item.keep and (self._bytes >= QUEUE_BYTES or len(self._queue) >= QUEUE_ITEMS):
            return False
        self._bytes += len(item.payload)
        self._queue.append(item)
        self._wake.set()
        return True

    def stop(self) -> None:
        """Waits until everything is written and the thread has ended, but not for ever."""
        self._stopping = True
        self._wake.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(STOP_S)
        if self._thread.is_alive():
            warn(f"the disk hangs: {len(self._queue)} records were not written within {STOP_S:.0f} s.")

    def _run(self) -> None:
        calm_since = monotonic()
        while True:
            self._wake.wait(min(1.0, CALM_S))
            self._wake.clear()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_ITEMS))]
                took = self._writer.write_items(batch)
                with self._writer.lock:
                    self._bytes -= sum(len(item.payload) for item in batch)
                if took > self._slow_ms:
                    calm_since = monotonic()
            if self._stopping or monotonic() - calm_since >= CALM_S:
                with self._writer.lock:
                    if not self._queue:
                        self._writer.foreground()
                        return
