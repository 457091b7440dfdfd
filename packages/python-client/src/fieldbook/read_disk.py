"""Reads runs straight from the journals of a home, where no agent runs.

The fold over several writers is that of ``packages/core/src/fold``: a test reads the same runs both ways and must get
the same. What people edited and what other machines sent is in the agent's store and not here.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable

from . import query as queries
from .alive import Liveness
from .console import warn_once
from .read_writer import Point, Writer, files_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_FIELDS = ("name", "group", "notes", "user", "host")


class DiskSource:
    """The journals under a home, and under the further folders that its ``config.json`` names."""

    kind = "disk"

    def __init__(self, home: str) -> None:
        self.home = home
        self._roots: list[str] = []
        self.look_around()
        self._states: dict[str, tuple[Any, dict[str, Any]]] = {}

    def look_around(self) -> None:
        """Reads again where journals lie."""
        self._roots = [os.path.join(self.home, "journals"), *_more_roots(self.home)]

    def projects(self) -> list[str]:
        """Ids of the projects that have journals here."""
        return sorted({name for root in self._roots for name in _subfolders(root)})

    def select(self, project: str, query: str, now: float, zone: int) -> list[dict[str, Any]]:
        """States of the runs that a query finds."""
        self._say_what_is_not_here()
        states = [_listed(state) for state in self._states_of(project)]
        return [dict(state) for state in queries.select(states, query, now=now, zone=zone)]

    def find(self, wanted: str, project: str | None) -> list[dict[str, Any]]:
        """States of the runs that an id, the beginning of one, or a name may mean; the best kind of match only."""
        projects = self.projects() if project is None else [project]
        folders = [(each, run) for each in projects for run in self._runs(each)]
        exact = [pair for pair in folders if pair[1] == wanted]
        started = [pair for pair in folders if len(wanted) >= 4 and pair[1].startswith(wanted)]
        for pairs in (exact, started):
            if pairs:
                return [state for pair in pairs for state in [self._state(*pair)] if state is not None]
        return [state for each in projects for state in self._states_of(each) if state["name"] == wanted]

    def points(self, state: dict[str, Any], path: str) -> list[Point]:
        """All points of a metric by step, then writer, then in the order logged."""
        self._need_all(state)
        found: list[Point] = []
        for writer in sorted(self._writers(state, path), key=lambda writer: writer.id):
            found.extend(writer.points)
        return sorted(found, key=lambda point: point[0])

    def rows(self, state: dict[str, Any], path: str) -> list[dict[str, Any]]:
        """All rows of a series of objects, in the same order."""
        if path not in state["kinds"]:
            return []
        self._need_all(state)
        found: list[dict[str, Any]] = []
        for writer in sorted(self._writers(state, path), key=lambda writer: writer.id):
            found.extend({**row, "writer": writer.id} for row in writer.rows)
        return sorted(found, key=lambda row: row["step"])

    def files(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        """Versions of files, the newest first, as the agent's API lists them where that can be known here."""
        writers: list[Writer] = state["folded"]
        removals = [removal for writer in writers for removal in writer.removals]
        versions = sorted((file for writer in writers for file in writer.files), key=_age, reverse=True)
        taken: set[str] = set()
        found = []
        for version in versions:
            path = version["path"]
            removed = any(
                (path == removal["path"] or path.startswith(removal["path"] + "/")) and _age(removal) > _age(version)
                for removal in removals
            )
            current = not removed and path not in taken
            if current:
                taken.add(path)
            found.append(
                {
                    "version": f"{version['writer']}.{version['ordinal']}",
                    "path": path,
                    "name": version["name"],
                    "kind": version.get("kind") or "file",
                    "size": version.get("size"),
                    "digest": version.get("sha256"),
                    "mime": version.get("mime"),
                    "meta": version.get("meta"),
                    "at": version["time"],
                    "modified": version.get("mtime"),
                    "writer": version["writer"],
                    "current": current,
                    "source": version.get("source"),
                    "spool": version.get("spool"),
                }
            )
        return found

    def copy_file(self, state: dict[str, Any], version: dict[str, Any], target: str) -> None:
        """Writes the bytes of a version to a path. Raises ``FileNotFoundError`` saying what would help."""
        place = self._spooled(state, version["writer"], version.get("spool")) or self._blob(version.get("digest"))
        if place is None:
            raise FileNotFoundError(
                f"the bytes of {version['path']!r} of run {state['id']} are not in its journals any more: an agent has stored "
                f"them. Start it with 'fieldbook up' and ask again."
            )
        from . import spool

        spool.copy(place, target)

    def read_blob(self, state: dict[str, Any], writer: str, file: dict[str, Any]) -> bytes:
        """The file of a row. Raises ``FileNotFoundError``."""
        place = self._spooled(state, writer, file.get("spool")) or self._blob(file.get("sha256"))
        if place is None:
            raise FileNotFoundError(
                f"the bytes of {file.get('name')!r} are not on this machine, or only its agent knows where: start it with 'fieldbook up'"
            )
        with open(place, "rb") as opened:
            return opened.read()

    def edit(self, state: dict[str, Any], changes: list[dict[str, Any]]) -> None:
        """Records changes as a further writer of the run, whose end says nothing of how the run went."""
        from . import read_edit

        read_edit.record(self.home, state, changes)
        self._states.pop(state["id"], None)

    # -- folding ----------------------------------------------------------------------------------------------------

    def _runs(self, project: str) -> list[str]:
        return sorted({name for root in self._roots for name in _subfolders(os.path.join(root, project))})

    def _states_of(self, project: str) -> list[dict[str, Any]]:
        states = [self._state(project, run) for run in self._runs(project)]
        return [state for state in states if state is not None]

    def _state(self, project: str, run: str) -> dict[str, Any] | None:
        folders = [
            folder for root in self._roots for folder in [os.path.join(root, project, run)] if os.path.isdir(folder)
        ]
        stamp = tuple(_stamp(path) for folder in folders for paths in _journals(folder).values() for path in paths)
        known = self._states.get(run)
        if known is not None and known[0] == stamp and known[1]["status"] != "running":
            return known[1]
        writers = [writer for writer in self._fold(folders, None) if writer.meta is not None]
        if not writers:
            return None
        state = fold(run, project, writers)
        state["folders"] = folders
        state["folded"] = writers
        self._states[run] = (stamp, state)
        return state

    def _writers(self, state: dict[str, Any], path: str) -> list[Writer]:
        return [writer for writer in self._fold(state["folders"], path) if writer.meta is not None]

    def _fold(self, folders: Iterable[str], wanted: str | None) -> list[Writer]:
        import time

        files: dict[str, list[str]] = {}
        for folder in folders:
            for name, paths in _journals(folder).items():
                # The same journal may lie under two roots, as a copy; the one found first is read.
                files.setdefault(name, paths)
        alive = Liveness()
        found = []
        for name, paths in files.items():
            writer = Writer(name, wanted).read(paths)
            if writer.meta is not None and not writer.closed:
                try:
                    writer.judge(alive.verdict(writer.meta, os.stat(paths[-1]), writer.updated, time.time() * 1000))
                except OSError:
                    pass
            found.append(writer)
        return sorted(found, key=lambda writer: (writer.created, writer.id))

    # -- what is not here -------------------------------------------------------------------------------------------

    def _need_all(self, state: dict[str, Any]) -> None:
        if not state["incomplete"]:
            return
        agent = "start it with 'fieldbook up' and ask again" if self._has_store() else "they have to be brought back"
        raise FileNotFoundError(
            f"some journals of run {state['id']} have been taken away from this machine after an agent had stored their points; {agent}"
        )

    def _say_what_is_not_here(self) -> None:
        if self._has_store():
            warn_once(
                f"read {self.home}",
                "no agent runs, so runs are read from this machine's journals: edits by people and runs of other machines "
                "are in the agent's store; 'fieldbook up' starts it.",
            )

    def _has_store(self) -> bool:
        return bool(_subfiles(os.path.join(self.home, "store")))

    def _spooled(self, state: dict[str, Any], writer: str, name: Any) -> str | None:
        if not isinstance(name, str) or "/" in name or name.startswith("."):
            return None
        for folder in state["folders"]:
            place = os.path.join(folder, f"{writer}.files", name)
            if os.path.isfile(place):
                return place
        return None

    def _blob(self, digest: Any) -> str | None:
        if not isinstance(digest, str) or len(digest) != 64 or not digest.isalnum():
            return None
        place = os.path.join(self.home, "blobs", "sha256", digest[:2], digest)
        return place if os.path.isfile(place) else None


def fold(run: str, project: str, writers: list[Writer]) -> dict[str, Any]:
    """What a person sees of a run, from its writers, the oldest first."""
    status, ended = _status(writers)
    tags = sorted({tag for writer in writers for tag in writer.tags}, key=queries.units)
    said = {field: _scripted(writers, field) for field in _FIELDS}
    return {
        "id": run,
        "project": project,
        **said,
        "name": said["name"] or run,
        "unnamed": said["name"] is None,
        "notes": said["notes"] or "",
        "tags": tags,
        "star": False,
        "archived": False,
        "trashed": False,
        "status": status,
        "created": min(writer.created for writer in writers),
        "updated": max(max(writer.updated, writer.created) for writer in writers),
        "ended": ended,
        "attributes": _attributes(writers),
        "metrics": _metrics(writers),
        "conflicts": [],
        "writers": [writer.id for writer in writers],
        "kinds": {path: kind for writer in writers for path, kind in writer.kinds.items()},
        "title": next((str(w.meta["project"]) for w in writers if w.meta and w.meta.get("project")), project),
        "incomplete": any(writer.missing for writer in writers),
    }


def _listed(state: dict[str, Any]) -> dict[str, Any]:
    """A state as lists have it: the machine's metrics are told of a run alone."""
    metrics = {path: summary for path, summary in state["metrics"].items() if not path.startswith("sys/")}
    return {**state, "metrics": metrics}


def _status(writers: list[Writer]) -> tuple[str, float | None]:
    """Running while any writer is, else what the one that ended last said; companions only where there is nobody else."""
    own = [writer for writer in writers if writer.role is None] or writers
    if any(writer.status == "running" for writer in own):
        return "running", None
    last = max(own, key=lambda writer: (_end(writer), writer.id))
    return last.status, _end(last)


def _end(writer: Writer) -> float:
    return writer.ended if writer.ended is not None else max(writer.updated, writer.created)


def _scripted(writers: list[Writer], field: str) -> str | None:
    """What the youngest writer that says anything says."""
    for writer in reversed(writers):
        value = (writer.meta or {}).get(field)
        if isinstance(value, str) and value:
            return value
    return None


def _attributes(writers: list[Writer]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for writer in writers:
        # What a writer removed is gone from what older ones set, whatever it said of the path before or after.
        for gone in writer.removed:
            for path in [path for path in merged if path == gone or path.startswith(gone + "/")]:
                del merged[path]
        merged.update(writer.attributes)
    return merged


def _metrics(writers: list[Writer]) -> dict[str, dict[str, float]]:
    merged: dict[str, dict[str, float]] = {}
    for writer in writers:
        for path, younger in writer.metrics.items():
            older = merged.get(path)
            merged[path] = younger if older is None else _merge(older, younger)
    return merged


def _merge(older: dict[str, float], younger: dict[str, float]) -> dict[str, float]:
    # NaN stands for "no finite value yet", and loses every comparison.
    least = older if not younger["min"] <= older["min"] and not math.isnan(older["min"]) else younger
    most = older if not younger["max"] >= older["max"] and not math.isnan(older["max"]) else younger
    return {
        "count": older["count"] + younger["count"],
        "last": younger["last"],
        "lastStep": younger["lastStep"],
        "min": least["min"],
        "minStep": least["minStep"],
        "max": most["max"],
        "maxStep": most["maxStep"],
        "nonFinite": older["nonFinite"] + younger["nonFinite"],
    }


def _age(record: dict[str, Any]) -> tuple[float, str, int, int]:
    return (record["time"], record["writer"], record["ordinal"], record.get("place", -1))


def _more_roots(home: str) -> list[str]:
    try:
        with open(os.path.join(home, "config.json"), encoding="utf-8") as file:
            listed = json.load(file).get("journals", [])
        return [os.path.join(home, path) for path in listed if isinstance(path, str)]
    except (OSError, ValueError, AttributeError, TypeError):
        return []


def _journals(folder: str) -> dict[str, list[str]]:
    try:
        return files_of(folder)
    except OSError:
        return {}


def _subfolders(path: str) -> list[str]:
    return [name for name in _subfiles(path) if not name.startswith(".") and os.path.isdir(os.path.join(path, name))]


def _subfiles(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _stamp(path: str) -> tuple[str, int, int]:
    try:
        about = os.stat(path)
    except OSError:
        return (path, 0, 0)
    return (path, about.st_size, about.st_mtime_ns)
