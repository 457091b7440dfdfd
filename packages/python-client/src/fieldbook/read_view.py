"""A run that was recorded, and what lies under its paths, for reading; and the few changes that may be made to it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence

from . import values
from .query import value_of
from .tags import check_tags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from .reader import Source

_FIELDS = ("id", "name", "project", "status", "created", "updated", "ended", "group", "user", "host", "tags", "notes")


class ReadRun:
    """A run. What it holds is as it was when it was asked for; a change through it is made at once."""

    def __init__(self, source: Source, state: dict[str, Any]) -> None:
        self._source = source
        self._state = state
        self.id: str = state["id"]
        self.project: str = state["project"]

    def __repr__(self) -> str:
        return f"<fieldbook run {self.id} ({self.name}) of project {self.project}, {self.status}>"

    @property
    def source(self) -> str:
        """``agent`` or ``disk``: where it was read."""
        return self._source.kind

    @property
    def name(self) -> str:
        """The name in force; the id of a run that nobody named."""
        return str(self._state["name"])

    @property
    def status(self) -> str:
        """``running``, ``finished``, ``failed``, ``crashed``, ``lost`` or ``preempted``."""
        return str(self._state["status"])

    @property
    def tags(self) -> ReadTags:
        """The tags in force."""
        return ReadTags(self)

    @property
    def notes(self) -> str:
        """Its notes, in Markdown."""
        return str(self._state["notes"])

    @property
    def group(self) -> str | None:
        return self._text("group")

    @property
    def user(self) -> str | None:
        return self._text("user")

    @property
    def host(self) -> str | None:
        return self._text("host")

    @property
    def created(self) -> datetime:
        """When it began (UTC)."""
        return _moment(self._state["created"])

    @property
    def updated(self) -> datetime:
        """When something of it was last recorded."""
        return _moment(self._state["updated"])

    @property
    def ended(self) -> datetime | None:
        """When it ended; None while it runs."""
        return None if self._state["ended"] is None else _moment(self._state["ended"])

    @property
    def attributes(self) -> dict[str, Any]:
        """All attributes by path. Times are ``datetime``s; integers beyond ±(2^53 − 1) are texts of digits."""
        return {path: _plain(value) for path, value in self._state["attributes"].items()}

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Of each metric ``count``, ``last``, ``lastStep``, ``min``, ``minStep``, ``max``, ``maxStep``, ``nonFinite``."""
        return {path: dict(summary) for path, summary in self._state["metrics"].items()}

    def files(self) -> list[dict[str, Any]]:
        """Its files with all their versions, the newest first: ``path``, ``name``, ``size``, ``kind``, ``current`` …"""
        return self._source.files(self._state)

    def __getitem__(self, path: str) -> ReadAttribute:
        return ReadAttribute(self, values.check_path(path, "the attribute's path"))

    def __setitem__(self, path: str, value: Any) -> None:
        """Sets an attribute of the run, whoever recorded it and however it ended; a mapping sets everything below."""
        values.check_path(path, "the attribute's path")
        pairs = {
            values.check_path(each, f"run[{path!r}]"): values.encode_attribute(each, leaf)
            for each, leaf in values.flatten(value, path, f"run[{path!r}]")
        }
        self._change({"set": pairs})

    def __delitem__(self, path: str) -> None:
        """Removes an attribute and everything below it."""
        values.check_path(path, "the attribute's path")
        below = [known for known in self._state["attributes"] if known == path or known.startswith(path + "/")]
        if not below:
            raise KeyError(path)
        self._change({"del": below if self.source == "agent" else [path]})

    def to_dict(self, columns: Sequence[str] | None = None) -> dict[str, Any]:
        """As :meth:`fieldbook.reader.ReadRuns.to_dicts` has it."""
        if columns is not None:
            if isinstance(columns, str):
                raise TypeError(f"columns must be a list of strings, not one: write [{columns!r}]")
            return {column: _plain(value_of(self._state, column)) for column in columns}
        found: dict[str, Any] = {field: self._state[field] for field in _FIELDS}
        for field in ("created", "updated", "ended"):
            found[field] = None if found[field] is None else _moment(found[field])
        found["tags"] = list(found["tags"])
        for path, value in self.attributes.items():
            # A field is what everybody expects under its name; the attribute of that name can be asked for as `a:status`.
            found.setdefault(path, value)
        for path, summary in self._state["metrics"].items():
            found.setdefault(path, summary["last"])
            for aggregate in ("min", "max"):
                extreme = summary[aggregate]
                found.setdefault(f"{path}.{aggregate}", None if math.isnan(extreme) else extreme)
            found.setdefault(f"{path}.count", summary["count"])
        return found

    def _summary(self, path: str) -> dict[str, float] | None:
        """A metric's summary. Those of the machine are told of a run alone: one from a list asks for them when they are wanted."""
        if path.startswith("sys/") and path not in self._state["metrics"]:
            found = self._source.find(self.id, self.project)
            self._state = found[0] if found else self._state
        summary: dict[str, float] | None = self._state["metrics"].get(path)
        return summary

    def _version(self, path: str) -> dict[str, Any] | None:
        """The current version of a file."""
        return next((file for file in self.files() if file["path"] == path and file["current"]), None)

    def _beside(self, target: str, meta: Any) -> None:
        """Writes what a page needs beside it, as far as this machine has it; without, the page loads it or says what is missing."""
        needs = meta.get("needs") if isinstance(meta, dict) else None
        for path in needs[:10] if isinstance(needs, list) else ():
            version = self._version(path) if isinstance(path, str) else None
            place = os.path.join(os.path.dirname(os.path.abspath(target)), os.path.basename(str(path)))
            if version is not None and os.path.basename(str(path)) and not os.path.lexists(place):
                try:
                    self._source.copy_file(self._state, version, place)
                except FileNotFoundError:
                    pass

    def _text(self, field: str) -> str | None:
        value = self._state[field]
        return None if value in (None, "") else str(value)

    def _change(self, change: dict[str, Any]) -> None:
        self._source.edit(self._state, [change])
        found = self._source.find(self.id, self.project)
        if found:
            self._state = found[0]


class ReadTags(Sequence[str]):
    """The tags of a run that was read. Adding and removing is made at once."""

    def __init__(self, run: ReadRun) -> None:
        self._run = run

    @property
    def _tags(self) -> list[str]:
        return list(self._run._state["tags"])

    def __len__(self) -> int:
        return len(self._tags)

    def __getitem__(self, index: Any) -> Any:
        return self._tags[index]

    def __eq__(self, other: object) -> bool:
        return list(other) == self._tags if isinstance(other, (list, tuple, ReadTags)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._tags)

    def add(self, *tags: str) -> None:
        """``run.tags.add("paper")``"""
        checked = check_tags(tags, "tags")
        if checked:
            self._run._change({"add": checked})

    def remove(self, *tags: str) -> None:
        """Takes tags away, whoever gave them."""
        checked = check_tags(tags, "tags")
        if self._run.source == "disk" and set(checked) & set(self._tags):
            # Writers only ever add to each other's tags; what takes one back is an edit, and those are the agent's.
            raise RuntimeError("taking tags off a run needs this machine's agent: start it with 'fieldbook up'")
        if self._run.source == "agent":
            self._run._change({"remove": checked})


class ReadAttribute:
    """What lies under a path of a run that was read."""

    __slots__ = ("_path", "_run")

    def __init__(self, run: ReadRun, path: str) -> None:
        self._run = run
        self._path = path

    def __repr__(self) -> str:
        return f"<fieldbook attribute {self._path!r} of run {self._run.id}>"

    def __getitem__(self, path: str) -> ReadAttribute:
        return self._run[f"{self._path}/{path}"]

    def __setitem__(self, path: str, value: Any) -> None:
        self._run[f"{self._path}/{path}"] = value

    @property
    def value(self) -> Any:
        """The attribute's value; of a metric its last. Raises ``KeyError`` where the run has neither."""
        state = self._run._state
        if self._path in state["attributes"]:
            return _plain(state["attributes"][self._path])
        summary = self._run._summary(self._path)
        if summary is not None:
            return summary["last"]
        raise KeyError(self._path)

    @property
    def summary(self) -> dict[str, float]:
        """``count``, ``last``, ``min``, ``max`` … of the metric here. Raises ``KeyError``."""
        summary = self._run._summary(self._path)
        if summary is None:
            raise KeyError(self._path)
        return dict(summary)

    def values(self) -> list[Any]:
        """All values of the series here by step: numbers, texts, or of other kinds their rows. Raises ``KeyError``."""
        if self._run._summary(self._path) is not None:
            return [value for _, _, value, _ in self._points()]
        return [row.text if row.kind == "text" else row for row in self.rows()]

    def steps(self) -> list[float]:
        """The steps of :meth:`values`."""
        if self._run._summary(self._path) is not None:
            return [step for step, _, _, _ in self._points()]
        return [row.step for row in self.rows()]

    def times(self) -> list[float]:
        """When each was logged, in ms since the Unix epoch."""
        if self._run._summary(self._path) is not None:
            return [time for _, time, _, _ in self._points()]
        return [row.time for row in self.rows()]

    def rows(self) -> list[Row]:
        """The rows of a series of texts, pictures, tables …, or of the console (``run["console/stdout"]``). Raises ``KeyError``."""
        run = self._run
        found = run._source.rows(run._state, self._path)
        if not found:
            raise KeyError(self._path)
        return [Row(run, row) for row in found]

    def to_pandas(self) -> Any:
        """A data frame with ``step``, ``time`` (UTC) and ``value``. Needs pandas."""
        if self._run._summary(self._path) is not None:
            rows: Iterator[tuple[float, float, Any]] = ((step, time, value) for step, time, value, _ in self._points())
        else:
            rows = ((row.step, row.time, row.text if row.kind == "text" else row) for row in self.rows())
        return to_frame([{"step": step, "time": _moment(time), "value": value} for step, time, value in rows])

    def download(self, destination: str | os.PathLike[str] = ".") -> str:
        """Writes the file here to a folder or a path of its own; returns where it lies.

        Raises ``KeyError`` where the run has no such file, ``FileNotFoundError`` where its bytes are not on this machine.
        """
        from . import media_source

        target = os.fsdecode(os.fspath(destination))
        if not target:
            raise ValueError("destination must not be empty: name a folder or a file")
        run = self._run
        version = run._version(self._path)
        if version is None:
            raise KeyError(self._path)
        target = _place(target, media_source.check_name(version["name"]))
        run._source.copy_file(run._state, version, target)
        run._beside(target, version.get("meta"))
        return target

    def _points(self) -> list[tuple[float, float, float, int]]:
        return self._run._source.points(self._run._state, self._path)


class Row:
    """One value of a series of objects. ``text`` of texts, ``data`` of histograms and tables, ``file`` of all others."""

    def __init__(self, run: ReadRun, row: dict[str, Any]) -> None:
        self._run = run
        self._writer: str = row.get("writer") or ""
        self.step: float = row["step"]
        self.time: float = row["time"]
        self.kind: str = row["kind"]
        self.text: str | None = row.get("text")
        self.data: Any = row.get("data")
        #: ``name``, ``size``, ``mime``, ``sha256``; None of a value without a file.
        self.file: dict[str, Any] | None = row.get("file")
        #: A line of the console that is still being written; a notice of what was left out.
        self.open: bool = bool(row.get("open"))
        self.gap: bool = bool(row.get("gap"))
        self.meta: dict[str, Any] = row.get("meta") or {}

    def __repr__(self) -> str:
        return f"<fieldbook {self.kind} at step {self.step}>"

    def read(self) -> bytes:
        """The bytes of its file. Raises ``FileNotFoundError`` where they are not on this machine."""
        if self.file is None:
            raise FileNotFoundError(f"this {self.kind} has no file")
        return self._run._source.read_blob(self._run._state, self._writer, self.file)

    def download(self, destination: str | os.PathLike[str] = ".") -> str:
        """Writes its file to a folder or a path of its own, beside it the library that a chart's page draws with; returns where it
        lies. Raises ``FileNotFoundError`` where the bytes are not on this machine."""
        from . import media_source

        data = self.read()
        name = (self.file or {}).get("name") or self.kind
        target = _place(os.fsdecode(os.fspath(destination)), media_source.check_name(name))
        with open(target, "wb") as file:
            file.write(data)
        self._run._beside(target, self.meta)
        return target


def _place(target: str, name: str) -> str:
    """Where a file of a name goes that is to be written to a folder or a path; the folder is made."""
    if os.path.isdir(target) or target.endswith(("/", os.sep)):
        target = os.path.join(target, name)
    os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
    return target


def to_frame(rows: list[dict[str, Any]]) -> Any:
    """A data frame of rows. Raises ``ImportError`` that says what is missing."""
    from importlib import import_module

    try:
        pandas = import_module("pandas")
    except ImportError:
        raise ImportError("to_pandas() needs pandas: pip install pandas; to_dicts() needs nothing") from None
    return pandas.DataFrame(rows)


def _moment(time: float) -> datetime:
    from datetime import datetime, timedelta, timezone

    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=time)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return _moment(value["time"])
    return list(value) if isinstance(value, list) else value
