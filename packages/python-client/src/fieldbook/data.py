"""``run["data/train"].track_files("data/")``: which data a run saw, without copying it.

The version is a list of files with their digests, and a tree digest over it that is the same on every machine for the
same data. The run gets the digest as an attribute, so that a table shows and compares it, and the list as a file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from .console import warn_once
from .data_cache import HashCache, Stamp
from .data_hash import hash_files
from .data_list import Line, encode, in_order, tree_digest
from .data_walk import FILES, Found, Tree, walk
from .redaction import redact_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .data_s3 import Lister
    from .run import Run


#: A pass that takes longer than this says that it is under way.
PATIENCE_S = 1.0


class DataVersion:
    """What a path was found to hold. ``str()`` is the attribute that the run gets."""

    def __init__(self, digest: str, lines: list[Line], root: str, source: str, notes: list[str]) -> None:
        #: The tree digest, hexadecimal.
        self.digest = digest
        self.lines = lines
        self.root = root
        #: ``files``, ``dvc``, ``git-lfs`` or ``s3``.
        self.source = source
        #: What people should know: left out, changed meanwhile, not readable.
        self.notes = notes

    @property
    def files(self) -> int:
        """How many."""
        return len(self.lines)

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(line.size for line in self.lines)

    @property
    def complete(self) -> bool:
        """False when something could not be read, so that the digest does not speak of its content."""
        return all(line.algorithm != "none" for line in self.lines)

    def encode(self) -> bytes:
        """The list, as docs/formats/files.md has it."""
        return encode(self.lines, root=self.root, source=self.source, digest=self.digest, notes=self.notes)

    def __str__(self) -> str:
        return f"data:sha256:{self.digest}"

    def __repr__(self) -> str:
        return f"<fieldbook data version {self.digest[:12]}: {self.files} files, {self.size} bytes>"


def track(run: Run, path: str, files: Any, ignore: Any = ()) -> DataVersion | str | None:
    """The verb; :meth:`fieldbook.run.Attribute.track_files` says what it takes and returns."""
    sources = check_sources(files)
    patterns = _check_ignore(ignore)
    if run._muted or not run._live():
        run._ignore()
        return None
    remote = [source for source in sources if is_remote(source)]
    if remote:
        if len(sources) > 1:
            raise ValueError("files: a URL is tracked alone, under a path of its own")
        return _track_remote(run, path, remote[0])
    version = version_of(sources, ignore=patterns, home=run._home)
    _record(run, path, version)
    return version


def check_sources(files: Any) -> list[str]:
    """Sources as texts: a path, a glob, a URL, or several of them."""
    listed = [files] if isinstance(files, (str, os.PathLike)) else files
    if isinstance(listed, (bytes, dict)) or not isinstance(listed, Iterable):
        raise TypeError(f"files must be a path, a glob, a URL or a list of them, not {type(files).__name__}")
    sources = []
    for item in listed:
        if not isinstance(item, (str, os.PathLike)):
            raise TypeError(f"files must hold paths, not {type(item).__name__}")
        text = os.fspath(item)
        if not isinstance(text, str):
            text = os.fsdecode(text)
        if not text or "\0" in text:
            raise ValueError("files must not hold an empty path, or one with a zero in it")
        sources.append(text if is_remote(text) else os.path.expanduser(text))
    if not sources:
        raise ValueError("files is empty: name a path")
    return sources


def is_remote(source: str) -> bool:
    """Whether it is a URL of something that is not a file here."""
    scheme, found, _ = source.partition("://")
    return bool(found) and scheme.isalnum() and scheme != "file"


def _check_ignore(ignore: Any) -> list[str]:
    patterns = [ignore] if isinstance(ignore, str) else ignore
    if isinstance(patterns, bytes) or not isinstance(patterns, Iterable):
        raise TypeError(f"ignore must be a list of patterns, not {type(ignore).__name__}")
    found = []
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TypeError(f"ignore must hold patterns, not {type(pattern).__name__}")
        if not pattern.strip("/"):
            raise ValueError("ignore must not hold an empty pattern")
        found.append(pattern)
    return found


def version_of(
    sources: list[str], *, ignore: Iterable[str] = (), home: str | None = None, threads: int | None = None
) -> DataVersion:
    """The data version of local sources. With a ``home`` its hash cache is used."""
    sources = [source[7:] if source.startswith("file://") else source for source in sources]
    tree = walk(sources, ignore)
    _hash(tree, HashCache(home) if home else None, threads)
    lines = in_order(_line(found) for found in tree.files)
    unread = sum(1 for line in lines if line.algorithm == "none")
    if unread:
        first = next(line for line in lines if line.algorithm == "none")
        tree.notes.append(f"{unread} could not be read, the first is {first.path!r} ({first.digest})")
    source = "git-lfs" if tree.kinds == {"git-lfs"} else "dvc" if "dvc" in tree.kinds else "files"
    return DataVersion(tree_digest(lines), lines, tree.root, source, tree.notes)


def _hash(tree: Tree, cache: HashCache | None, threads: int | None) -> None:
    """Fills in the digests. A file that a pointer of DVC stands for is hashed as DVC does, and believed if it is as it says."""
    waiting = [found for found in tree.files if found.local is not None]
    with _Progress(sum(found.size for found in waiting), tree.root) as progress:
        pointed = [found for found in waiting if found.out is not None]
        _hash_with("md5", pointed, cache, threads, progress)
        for found in pointed:
            if found.out is not None and found.digest not in (found.out.md5, None) and found.algorithm == "md5":
                tree.notes.append(f"{found.path} is not as its .dvc file says: its content is listed instead")
                found.algorithm, found.digest, found.out = "sha256", None, None
        plain = [found for found in waiting if found.out is None and found.digest is None]
        changed = _hash_with("sha256", plain, cache, threads, progress)
    if changed:
        tree.notes.append(f"{changed} changed while being read; what is listed of them may be of no moment")


def _hash_with(
    algorithm: str, files: list[Found], cache: HashCache | None, threads: int | None, progress: _Progress
) -> int:
    """Hashes files; returns how many changed meanwhile."""
    changed = 0
    stamps = [found.stamp for found in files if found.stamp is not None]
    known = cache.look(stamps, algorithm) if cache is not None else {}
    fresh: list[Found] = []
    jobs: list[tuple[str, Stamp]] = []
    for found in files:
        if found.local is None or found.stamp is None:
            continue
        # Of what is known nothing but the digest is new: size and times are of the look that the stamp is of.
        found.digest = known.get(found.stamp)
        if found.digest is None:
            fresh.append(found)
            jobs.append((found.local, found.stamp))
    hashed_all = hash_files(jobs, cache, algorithm=algorithm, threads=threads, progress=progress.add)
    for found, hashed in zip(fresh, hashed_all):
        found.size, found.mtime = hashed.size, hashed.mtime_ns / 1e6
        if hashed.digest is None:
            found.algorithm, found.digest = "none", hashed.reason
        else:
            found.algorithm, found.digest = algorithm, hashed.digest
        changed += hashed.changed
    return changed


def _line(found: Found) -> Line:
    return Line(found.path, found.size, found.algorithm, found.digest or "", found.mtime, found.extra)


def _track_remote(run: Run, path: str, url: str) -> DataVersion | str | None:
    from . import data_s3

    shown = str(redact_value(path, url))
    listing = data_s3.lister() if url.startswith(("s3://", "s3a://")) else None
    if listing is None:
        scheme = url.partition("://")[0]
        why = "boto3 or s3fs is not installed" if scheme in ("s3", "s3a") else f"Fieldbook cannot list {scheme}:// URLs"
        return _refer(run, path, shown, why)
    try:
        version = s3_version(url, listing[0])
    except ValueError:
        raise
    except Exception as error:  # no network, no credentials, no such bucket: all are the machine's trouble
        return _refer(run, path, shown, f"{listing[1]} could not list it: {str(error)[:300]}")
    version.root = shown
    _record(run, path, version)
    return version


def s3_version(url: str, listing: Lister) -> DataVersion:
    """The version of what lies below a URL, by what ``listing`` says of the objects."""
    from . import data_s3

    bucket, prefix = data_s3.parse(url)
    objects = data_s3.list_objects(listing, bucket, prefix)
    if not objects:
        raise ValueError(f"files: there is nothing at {url!r}")
    if len(objects) > FILES:
        raise ValueError(f"files: there are more than {FILES} objects at {url!r}; track the prefixes below one by one")
    lines = in_order(
        Line(name, size, "etag", etag, written, {"version": version} if version else None)
        for name, (_, size, etag, written, version) in objects
    )
    return DataVersion(tree_digest(lines), lines, url, "s3", [])


def _refer(run: Run, path: str, url: str, why: str) -> str:
    """What cannot be listed is only named."""
    warn_once(
        f"data {url}",
        f"the data at {url} is named in the run, but which version of it is not known: {why}.",
    )
    from . import journal

    run._set([(path, url, url, None)])
    body = {"path": f"{path}/list", "name": "list", "spool": None, "source": url, "kind": "data", "size": None}
    run._record(
        journal.FILE, {**body, "mtime": None, "sha256": None, "mime": None, "travel": None, "meta": {"why": why[:500]}}
    )
    return url


def _record(run: Run, path: str, version: DataVersion) -> None:
    for note in version.notes:
        warn_once(f"data {path} {note}", f"data version {path!r}: {note}.")
    text = str(version)
    run._attach(
        f"{path}/list",
        version.encode(),
        name="data.jsonl",
        kind="data",
        mime="application/jsonl",
        meta={"digest": version.digest, "files": version.files, "bytes": version.size, "from": version.source},
    )
    # Past the redaction of values: under a path such as "data/tokens" a digest would look like a secret.
    run._set([(path, text, text, None)])


class _Progress:
    """A line on stderr once a pass takes longer than a second; on a terminal it counts."""

    def __init__(self, total: int, what: str) -> None:
        import threading
        import time

        self._turn = threading.Lock()
        self._clock = time.monotonic
        self._total = total
        self._what = what
        self._done = 0
        self._next = self._clock() + PATIENCE_S
        self._said = False
        stream = sys.stderr
        self._stream = stream
        self._live = bool(stream is not None and getattr(stream, "isatty", bool)())

    def add(self, count: int) -> None:
        # Threads may lose each other's counts here: it is a picture, not a sum.
        self._done += count
        if self._clock() < self._next or not self._turn.acquire(blocking=False):
            return
        due = self._clock() >= self._next
        self._next = self._clock() + (0.5 if self._live else 60.0)
        self._turn.release()
        if due:
            self._say(f"fieldbook: hashing {self._what}: {_size(self._done)} of {_size(self._total)}")

    def _say(self, line: str) -> None:
        self._said = True
        try:
            self._stream.write(f"\r{line}\x1b[K" if self._live else line + "\n")
            self._stream.flush()
        except (OSError, ValueError, AttributeError):
            pass

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._said and self._live:
            self._say("")


def _size(count: int) -> str:
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"
