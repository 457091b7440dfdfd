"""``run[path].download()``: a file of this run, from what it has kept itself or from this machine's field book."""

from __future__ import annotations

import os

from . import journal, journal_reader, media_source, spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .run import Run


def download(run: Run, path: str, destination: str | os.PathLike[str]) -> str:
    """:meth:`fieldbook.Attribute.download`."""
    target = os.fsdecode(os.fspath(destination))
    if not target:
        raise ValueError("destination must not be empty: name a folder or a file")
    found = _in_spools(run, path)
    if found is None:
        from . import reader

        try:
            return reader.download(run._home, run.project, run.id, path, target)
        except KeyError:
            raise FileNotFoundError(f"no file lies under {path!r} of run {run.id} on this machine") from None
    place, name = found
    if os.path.isdir(target) or target.endswith(("/", os.sep)):
        target = os.path.join(target, media_source.check_name(name))
    os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
    spool.copy(place, target)
    return target


def _in_spools(run: Run, path: str) -> tuple[str, str] | None:
    """Where the newest file of a path still waits for an agent, and its name."""
    newest: tuple[float, str, str] | None = None
    try:
        names = os.listdir(run._folder)
    except OSError:
        return None
    for name in names:
        if not name.endswith(".fbj"):
            continue
        writer = name.partition(".")[0]
        try:
            with open(os.path.join(run._folder, name), "rb") as file:
                found = journal_reader.read(file.read())
        except (OSError, journal_reader.JournalCorrupt):
            continue
        for record in found.of(journal.FILE):
            if record.get("path") == path and record.get("spool"):
                place = os.path.join(run._folder, f"{writer}.files", record["spool"])
                if newest is None or record["time"] >= newest[0]:
                    newest = (record["time"], place, record["name"])
    return (newest[1], newest[2]) if newest is not None and os.path.exists(newest[1]) else None
