"""Files that a run keeps: one under a path, or many below one."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping

from . import media, media_source, model, values
from .console import warn, warn_once
from .media_figure import is_figure, keep_library
from .media_image import is_pil
from .media_recognition import recognise
from .media_table import is_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .run import Run
    from .spool import Source


KINDS = ("file", "model", "data", "source", "environment", "config", "notebook")
TRAVELS = ("now", "request", "never")
#: Files of one call: beyond it somebody named a data set, which is tracked instead of kept.
FILES_LIMIT = 10_000


def upload(
    run: Run,
    path: str,
    source: Any,
    *,
    name: str | None,
    kind: str | None,
    mime: str | None,
    meta: Mapping[str, Any] | None,
    travel: str | None,
    link: bool,
) -> None:
    """:meth:`fieldbook.Attribute.upload`."""
    if name is not None:
        media_source.check_name(name)
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    if mime is not None:
        values.check_text(mime, "mime", 200)
    check_travel(travel)
    about = media.check_meta(meta)
    for place, given in _parts(path, source):
        found = _Found(place, given)
        if not _records(run):
            continue
        content = found.content()
        run._attach(
            place,
            content.source,
            name=name if name is not None and place == path else content.name,
            kind=kind or content.kind,
            mime=mime if mime is not None and place == path else content.mime,
            meta=media.check_meta({**content.meta, **about}) or None,
            travel=travel,
            link=link,
        )
        if isinstance(given, media.Figure):
            keep_library(run, given.library)


def check_travel(travel: Any) -> None:
    """When bytes go to a relay, or a mistake of the user."""
    if travel is not None and travel not in TRAVELS:
        raise ValueError(f"travel must be 'now', 'request' or 'never', not {travel!r}")


def _records(run: Run) -> bool:
    """Whether files are recorded here; says why not where a person would wonder."""
    if run._finished:
        run._ignore()
        return False
    if run._muted and not run._disabled:
        warn_once(
            f"rank files {run.id}",
            "files are recorded by rank 0 alone; write init(..., all_ranks=True) to record those of every rank.",
        )
    return not run._muted and run._live()


def _parts(path: str, source: Any) -> list[tuple[str, Any]]:
    """The source, and beside a chart that draws in a browser its page."""
    if not isinstance(source, (str, bytes, os.PathLike)) and is_figure(source):
        source = media.Figure(source)
    page = source.page() if isinstance(source, media.Figure) else None
    return [(path, source)] if page is None else [(path, source), (f"{path}/html", page)]


class _Content:
    def __init__(self, source: Source, name: str, kind: str, mime: str | None, meta: Mapping[str, Any]) -> None:
        self.source = source
        self.name = name
        self.kind = kind
        self.mime = mime
        self.meta = meta


class _Found:
    """What somebody handed in, checked at once and turned into bytes only where it is recorded."""

    def __init__(self, path: str, source: Any) -> None:
        self._last = path.rpartition("/")[2]
        self._media: media.Media | None = None
        self._model: model.Saved | None = None
        self._source: Source = b""
        self._name: str | None = None
        if isinstance(source, media.Media):
            self._media = source
        elif isinstance(source, (bytes, bytearray, memoryview)):
            self._source = bytes(source)
        elif isinstance(source, (str, os.PathLike)):
            self._source = media_source.existing_file(source, "source")
            self._name = os.path.basename(self._source)
        elif hasattr(source, "read") and not isinstance(source, type):
            self._source = source
            own = getattr(source, "name", None)
            self._name = os.path.basename(own) if isinstance(own, str) else None
        elif is_pil(source) or is_frame(source):
            self._media = recognise(source, "source")
        else:
            self._model = model.saved(source)

    def content(self) -> _Content:
        if self._media is not None:
            return self._of_media(self._media.content())
        if self._model is not None:
            return _Content(self._model.write, self._model.name, self._model.kind, None, self._model.meta)
        name = self._name or self._last
        return _Content(self._source, name, "file", media_source.mime_of(name), {})

    def _of_media(self, content: media.Content) -> _Content:
        if content.file is not None:
            return _Content(content.file, content.name, "file", content.mime, content.meta)
        if content.text is not None:
            return _Content(content.text.encode(), "text.txt", "file", "text/plain; charset=utf-8", content.meta)
        from . import journal

        data = journal.to_json(content.data)
        return _Content(data, f"{content.kind}.json", "file", "application/json", content.meta)


def upload_files(run: Run, files: Any, to: str, *, travel: str | None, link: bool) -> list[str]:
    """:meth:`fieldbook.Run.upload_files`."""
    check_travel(travel)
    found = _listed(files)
    if len(found) > FILES_LIMIT:
        raise ValueError(
            f"files are {len(found)}; one call keeps at most {FILES_LIMIT}. To note which data a run saw without copying it, "
            "write run[path].track_files(…)"
        )
    below: dict[str, str] = {}
    for relative, place in found:
        path = values.check_path(f"{to}/{_as_path(relative)}", "files")
        if path in below and below[path] != place:
            raise ValueError(f"files: {below[path]!r} and {place!r} would both lie under {path!r}")
        below[path] = place
    if not _records(run):
        return []
    for path, place in below.items():
        run._attach(path, place, mime=media_source.mime_of(place), travel=travel, link=link)
    return list(below)


def _as_path(relative: str) -> str:
    parts = [part for part in relative.replace(os.sep, "/").split("/") if part not in ("", ".", "..")]
    return "/".join("".join(c if c.isprintable() else "_" for c in part) for part in parts)


def _listed(files: Any) -> list[tuple[str, str]]:
    """Relative name and path of every file that is meant, in order of the names."""
    if isinstance(files, (str, os.PathLike)):
        text = os.fsdecode(os.fspath(files))
        if not text:
            raise ValueError("files must not be empty: name a glob, a folder or files")
        return sorted(_of_folder(text) if os.path.isdir(text) else _of_pattern(text))
    if isinstance(files, (bytes, Mapping)) or not isinstance(files, Iterable):
        raise TypeError(f"files must be a glob, a folder or a list of paths, not {type(files).__name__}")
    result = []
    for index, item in enumerate(files):
        if not isinstance(item, (str, os.PathLike)):
            raise TypeError(f"files[{index}] must be a path, not {type(item).__name__}")
        place = os.fsdecode(os.fspath(item))
        if os.path.isdir(place):
            raise ValueError(f"files[{index}] is the folder {place!r}; hand it in alone to keep everything in it")
        if not os.path.exists(place):
            # Most likely rotated away since the list was made.
            warn(f"the file {place!r} is gone; it is not kept.")
            continue
        result.append((_relative(place), place))
    return result


def _relative(place: str) -> str:
    """Below the current folder with its folders, elsewhere by its name."""
    try:
        relative = os.path.relpath(place)
    except (OSError, ValueError):  # no current folder; another drive
        return os.path.basename(place)
    return os.path.basename(place) if relative.startswith("..") else relative


def _of_folder(folder: str) -> list[tuple[str, str]]:
    found = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in names:
            path = os.path.join(place, name)
            if os.path.isfile(path):
                found.append((os.path.relpath(path, folder), path))
        if len(found) > FILES_LIMIT:
            break
    if not found:
        warn(f"the folder {folder!r} has no files to keep.")
    return found


def _of_pattern(pattern: str) -> list[tuple[str, str]]:
    found = [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]
    if not found:
        if not glob.has_magic(pattern):
            raise ValueError(f"files: there is no file or folder {pattern!r}")
        warn(f"no file matches {pattern!r}.")
    fixed = pattern
    while glob.has_magic(fixed):
        fixed = os.path.dirname(fixed)
    if fixed == pattern:
        fixed = os.path.dirname(pattern)
    return [(os.path.relpath(path, fixed or "."), path) for path in found]
