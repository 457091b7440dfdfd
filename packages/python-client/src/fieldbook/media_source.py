"""Files that somebody hands in: as a path, as bytes, or open; and what their names say."""

from __future__ import annotations

import os

from . import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: Bytes of one object's file. What is larger is a file: ``run[path].upload(…)``.
FILE_LIMIT = 64 * 1024 * 1024


def existing_file(path: Any, argument: str) -> str:
    """The path of a file that is there. Raises ``ValueError`` for one that is not, or is a folder."""
    place = os.fsdecode(os.fspath(path))
    if os.path.isdir(place):
        raise ValueError(f"{argument} is the folder {place!r}; hand in a file, or use run.upload_files({place!r})")
    if not os.path.exists(place):
        raise ValueError(f"{argument}: there is no file {place!r} in {_where()}")
    if not os.path.isfile(place):  # reading a pipe or a terminal would wait for somebody to write
        raise ValueError(f"{argument}: {place!r} is a device, pipe or socket, not a file")
    return place


def _where() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "a folder that is gone"


def source_of(file: Any, argument: str) -> tuple[bytes | str, str | None]:
    """Bytes or a path of what somebody handed in as a file, and the name that it has itself."""
    if isinstance(file, (bytes, bytearray, memoryview)):
        return bytes(file), None
    if isinstance(file, (str, os.PathLike)):
        place = existing_file(file, argument)
        return place, os.path.basename(place)
    if hasattr(file, "read"):
        name = getattr(file, "name", None)
        return read_all(file, argument), os.path.basename(name) if isinstance(name, str) else None
    raise TypeError(f"{argument} must be a path, bytes or an open file, not {type(file).__name__}")


def read_all(file: Any, argument: str) -> bytes:
    """The rest of an open file, of texts or bytes."""
    found = file.read(FILE_LIMIT + 1)
    if isinstance(found, str):
        found = found.encode("utf-8", "replace")
    if not isinstance(found, (bytes, bytearray)):
        raise TypeError(f"{argument}.read() must return bytes or a string, not {type(found).__name__}")
    return bytes(found)


def check_name(name: Any) -> str:
    """A file's name, for people: without folders."""
    text = values.check_text(name, "name", 255)
    if not text or "/" in text or "\0" in text:
        raise ValueError(f"name cannot be {text[:80]!r}: give a file's name, such as 'model.pt'")
    return text


_MIMES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
    ".bmp": "image/bmp",
    ".html": "text/html; charset=utf-8",
    ".htm": "text/html; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".log": "text/plain; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".pdf": "application/pdf",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".flac": "audio/flac",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
    ".zip": "application/zip",
    ".gz": "application/gzip",
    ".tar": "application/x-tar",
    ".parquet": "application/vnd.apache.parquet",
    ".py": "text/x-python; charset=utf-8",
}


def mime_of(name: str) -> str | None:
    """By the ending; the :mod:`mimetypes` module would read the machine's tables and answer differently on each."""
    return _MIMES.get(os.path.splitext(name)[1].lower())
