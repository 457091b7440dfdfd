"""Writes what TensorBoard event files say into a run: numbers as points, the rest as objects and attributes."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from time import time

from . import journal, spool, tensorboard, values
from .tensorboard_names import path_of
from .tensorboard_recorded import Recorded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .writer import Writer

#: The largest file of an object.
OBJECT_LIMIT = 64 * 1024 * 1024


class Sink:
    """Writes points into a run."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        #: What an earlier follower had recorded and not noted: it is passed over.
        self.recorded = Recorded()
        self._spool = os.path.join(writer.folder, f"{writer.id}.files")
        self._numbers: set[str] = set()
        self._objects: dict[str, str] = {}

    @property
    def place(self) -> tuple[str, int]:
        """The writer, and the sequence number of its next record."""
        return self._writer.id, self._writer.next_sequence

    def recall(self, since: Mapping[str, int]) -> None:
        """Passes over what the journals of these writers hold from these sequence numbers on."""
        self.recorded.read(self._writer.folder, since)

    def put(self, point: tensorboard.Point, prefix: str) -> None:
        """Records one point, at its own time and step."""
        if point.kind == "scalar":
            path = self._path(point.tag, prefix, "number")
            step, time_ms = float(point.step), _moment(point.time)
            if not (self.recorded and self.recorded.meet(path, step, time_ms)):
                self._writer.put_points({path: point.value}, step, time_ms)
        elif point.kind in ("hparams", "metrics", "end"):
            self._attributes(point, prefix)
        elif point.kind == "text":
            tag = point.tag[: -len("/text_summary")] if point.tag.endswith("/text_summary") else point.tag
            if not self._was_recorded(tag, prefix, point):
                self._object(tag, prefix, point, {"text": _cut(point.value), "meta": point.meta})
        elif point.kind == "histogram":
            if not self._was_recorded(point.tag, prefix, point):
                self._object(point.tag, prefix, point, {"data": point.value})
        else:
            self._file(point, prefix)

    def _path(self, tag: str, prefix: str, kind: str) -> str:
        """Numbers and objects cannot share a path: the later kind is put below it."""
        path = path_of(tag or "value", prefix)
        other = self._objects if kind == "number" else self._numbers
        if path in other:
            path = path_of(f"{tag}/{kind}", prefix)
        if kind == "number":
            self._numbers.add(path)
        else:
            self._objects[path] = kind
        return path

    def _object(self, tag: str, prefix: str, point: tensorboard.Point, body: dict[str, Any]) -> None:
        path = self._path(tag, prefix, point.kind)
        self._writer.put_object(path, float(point.step), {"kind": point.kind, **body}, _moment(point.time))

    def _was_recorded(self, tag: str, prefix: str, point: tensorboard.Point) -> bool:
        if not self.recorded:
            return False
        return self.recorded.meet(self._path(tag, prefix, point.kind), float(point.step), _moment(point.time))

    def _file(self, point: tensorboard.Point, prefix: str) -> None:
        if len(point.value) > OBJECT_LIMIT:
            self._writer.miss("too large")
            return
        ending, mime = _kind_of(point.value, point.kind)
        tag = point.tag if point.index == 0 else f"{point.tag}/{point.index}"
        if self._was_recorded(tag, prefix, point):
            return
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", tag)[-60:] or point.kind
        kept = spool.keep(self._spool, point.value, f"{plain}-{point.step}{ending}")
        if kept["spool"] is None:
            self._writer.miss(kept["lost"])
            return
        file = {name: kept[name] for name in ("spool", "name", "size", "sha256")}
        self._object(tag, prefix, point, {"file": {**file, "mime": mime}, "meta": point.meta})

    def _attributes(self, point: tensorboard.Point, prefix: str) -> None:
        found: dict[str, Any] = {}
        if point.kind == "hparams":
            for name, value in point.value.items():
                path = path_of(f"params/{prefix}/{name}" if prefix else f"params/{name}")
                found[path] = values.encode_attribute(path, value)
            if point.meta.get("group"):
                found[path_of("tensorboard/group", prefix)] = _cut(point.meta["group"], values.TEXT_LIMIT)
        elif point.kind == "metrics":
            found[path_of("tensorboard/metrics", prefix)] = [_cut(tag, 512) for tag in point.value[: values.LIST_LIMIT]]
        else:
            found[path_of("tensorboard/session", prefix)] = point.value
        if found:
            self._writer.put(journal.ATTRS, {"set": found, "del": []})


def _moment(time_ms: float) -> float:
    """A usable time: writers may give anything."""
    return time_ms if 0.0 <= time_ms <= 8.64e15 else time() * 1000.0


def _cut(text: str, limit: int = journal.TEXT_LIMIT) -> str:
    encoded = text.encode("utf-8", "replace")
    return text if len(encoded) <= limit else encoded[:limit].decode("utf-8", "ignore")


def _kind_of(data: bytes, kind: str) -> tuple[str, str]:
    for start, ending, mime in (
        (b"\x89PNG", ".png", "image/png"),
        (b"\xff\xd8\xff", ".jpg", "image/jpeg"),
        (b"GIF8", ".gif", "image/gif"),
        (b"RIFF", ".wav", "audio/wav"),
        (b"OggS", ".ogg", "audio/ogg"),
        (b"fLaC", ".flac", "audio/flac"),
    ):
        if data.startswith(start):
            return ending, mime
    return (".bin", "image/*") if kind == "image" else (".bin", "application/octet-stream")
