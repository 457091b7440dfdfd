"""What lies under the sources of a data version: every file once, under the path that it has below the version's root.

How the odd cases are decided (docs/data.md has the table): links are followed, a folder that contains itself is entered
once; pipes, sockets and devices are no data; what cannot be read is listed with the reason, so that no tree with a hole
in it is called the same as a whole one; names are in Unicode's composed form, with bytes that are no UTF-8 as ``\\xNN``.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import stat
import unicodedata
from collections.abc import Iterable, Sequence

from .data_cache import Stamp, stamp_of
from .data_pointers import LFS_BYTES, Out, outs_beside, read_dvc, read_lfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: What tools leave between data without being data.
IGNORED = (".git/", ".dvc/", ".DS_Store", "Thumbs.db", "__pycache__/", ".ipynb_checkpoints/")
#: Files of one version: a list of two million lines has about 300 MB.
FILES = 2_000_000


class Found:
    """One file of a version. ``local`` and ``stamp`` of those that have to be hashed; else ``algorithm`` and ``digest``."""

    __slots__ = ("algorithm", "digest", "extra", "local", "mtime", "out", "path", "size", "stamp")

    def __init__(self, path: str, size: int, mtime: float | None) -> None:
        self.path = path
        self.size = size
        self.mtime = mtime
        self.local: str | None = None
        self.stamp: Stamp | None = None
        self.algorithm = "sha256"
        #: Hexadecimal, or the reason for the algorithm ``none``.
        self.digest: str | None = None
        #: The pointer that says what this file should be.
        self.out: Out | None = None
        self.extra: dict[str, Any] = {}


class Tree:
    """What a walk found: ``files`` in no order, ``notes`` for people, ``kinds`` of pointers met (``dvc``, ``git-lfs``)."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.files: list[Found] = []
        self.notes: list[str] = []
        self.kinds: set[str] = set()


def text_of(name: str) -> str:
    """A name as the list has it: NFC; in a name that is no UTF-8 its bad bytes as ``\\xNN`` and each ``\\`` doubled."""
    try:
        name.encode()
    except UnicodeEncodeError:
        doubled = os.fsencode(name).replace(b"\\", b"\\\\")
        return unicodedata.normalize("NFC", doubled.decode("utf-8", "backslashreplace"))
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def walk(sources: Sequence[str], ignore: Iterable[str] = ()) -> Tree:
    """Everything under local sources: files, folders, globs, ``.dvc`` files and ``dvc.lock``.

    The root is the folder itself, the folder of a file, the part of a glob before its first wildcard, or what several
    sources have in common. Raises ``ValueError`` when there is nothing at a source.
    """
    expanded = [part for source in sources for part in _expand(source)]
    rules = _Rules([*IGNORED, *ignore])
    if len(expanded) == 1 and os.path.isdir(expanded[0][0]) and not expanded[0][2]:
        root = os.path.abspath(expanded[0][0])
    else:
        root = os.path.commonpath([os.path.abspath(base) for _, base, _ in expanded])
    tree = Tree(root)
    walker = _Walker(tree, rules)
    for path, _, out in expanded:
        walker.start(path, out)
    walker.finish()
    return tree


def _expand(source: str) -> list[tuple[str, str, Out | None]]:
    """``(path, folder that the root may be, pointer)`` of what a source names."""
    name = os.path.basename(source)
    if os.path.isfile(source) and (name.endswith(".dvc") or name == "dvc.lock"):
        outs = read_dvc(source)
        if not outs:
            raise ValueError(
                f"files: {source} names no outs with an MD5, so it stands for no data; run 'dvc commit' first"
            )
        folder = os.path.dirname(source) or "."
        places = [(os.path.normpath(os.path.join(folder, out.path)), out) for out in outs]
        outside = any(os.path.normpath(out.path).startswith("..") for out in outs)
        return [(place, os.path.dirname(place) or "." if outside else folder, out) for place, out in places]
    plain = source.rstrip("/" + os.sep) or source
    if os.path.lexists(source):
        out = None if _is_root(plain) else outs_beside(plain)
        base = source if os.path.isdir(source) and out is None else os.path.dirname(os.path.abspath(plain))
        return [(plain, base, out)]
    out = outs_beside(plain)
    if out is not None:
        return [(plain, os.path.dirname(os.path.abspath(plain)), out)]
    if any(char in source for char in "*?["):
        import glob

        fixed = source
        while any(char in fixed for char in "*?["):
            fixed = os.path.dirname(fixed)
        matches = sorted(glob.glob(source, recursive=True))
        # `**` names folders and what is in them; a folder beside its own content would count it twice.
        folders = {match.rstrip(os.sep) for match in matches if os.path.isdir(match)}
        kept = [match for match in matches if not _inside(match, folders)]
        if kept:
            return [(match.rstrip(os.sep), fixed or ".", None) for match in kept]
        raise ValueError(f"files: nothing fits {source!r} in {os.path.abspath(fixed or '.')}")
    raise ValueError(f"files: there is nothing at {source!r} ({os.path.abspath(source)})")


def _is_root(path: str) -> bool:
    return os.path.dirname(os.path.abspath(path)) == os.path.abspath(path)


def _inside(path: str, folders: set[str]) -> bool:
    above = os.path.dirname(path.rstrip(os.sep))
    while above and above != os.path.dirname(above):
        if above in folders:
            return True
        above = os.path.dirname(above)
    return False


class _Rules:
    """Patterns as in a ``.gitignore``, without ``!``: of names, of paths when they have a slash inside, of folders with one at the end."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._names: dict[bool, list[str]] = {False: [], True: []}
        self._paths: dict[bool, list[str]] = {False: [], True: []}
        self._exact: dict[bool, set[str]] = {False: set(), True: set()}
        for pattern in patterns:
            bare = pattern.rstrip("/")
            folders = pattern.endswith("/")
            if "/" in bare:
                self._paths[folders].append(bare.lstrip("/"))
            elif any(char in bare for char in "*?["):
                self._names[folders].append(bare)
            elif bare:
                self._exact[folders].add(bare)

    def ignores(self, name: str, path: str, folder: bool) -> bool:
        for only_folders in (False, True) if folder else (False,):
            if name in self._exact[only_folders]:
                return True
            names, paths = self._names[only_folders], self._paths[only_folders]
            if names and any(fnmatch.fnmatchcase(name, pattern) for pattern in names):
                return True
            if paths and any(fnmatch.fnmatchcase(path, pattern) for pattern in paths):
                return True
        return False


class _Walker:
    def __init__(self, tree: Tree, rules: _Rules) -> None:
        self._tree = tree
        self._rules = rules
        self._seen: set[str] = set()
        self._skipped: dict[str, int] = {}

    def start(self, path: str, out: Out | None) -> None:
        local = os.path.abspath(path)
        relative = os.path.relpath(local, self._tree.root).replace(os.sep, "/")
        if out is not None:
            self._out(local, relative, out)
        elif os.path.isdir(local):
            self._folder(local, "" if relative == "." else relative)
        else:
            self._file(local, relative, None)

    def finish(self) -> None:
        for what, count in sorted(self._skipped.items()):
            self._tree.notes.append(f"{count} {what}")

    def _folder(self, top: str, below: str) -> None:
        """Not by recursion: a tree may be deeper than Python's stack."""
        waiting: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(top, below, frozenset())]
        while waiting:
            local, path, above = waiting.pop()
            try:
                about = os.stat(local)
                place = (about.st_dev, about.st_ino)
                if place in above:
                    self._skip("links back to a folder above them were not followed")
                    continue
                with os.scandir(local) as listing:
                    entries = list(listing)
            except OSError as error:
                self._unread(path or ".", error)
                continue
            inner = above | {place}
            pointers = {entry.name[:-4] for entry in entries if entry.name.endswith(".dvc") and entry.is_file()}
            stood = self._pointers(local, path, pointers) if pointers else set()
            for entry in entries:
                name = entry.name
                if name in stood or (name.endswith(".dvc") and name[:-4] in stood):
                    continue
                inside = f"{path}/{name}" if path else name
                try:
                    folder = entry.is_dir()
                except OSError:
                    folder = False
                if self._rules.ignores(name, inside, folder):
                    continue
                if folder:
                    waiting.append((entry.path, inside, inner))
                else:
                    self._file(entry.path, inside, entry)

    def _pointers(self, local: str, path: str, names: set[str]) -> set[str]:
        """Takes in the ``.dvc`` files of a folder; returns the names that they stand for."""
        stood = set()
        for name in names:
            try:
                outs = read_dvc(os.path.join(local, name + ".dvc"))
            except OSError:
                continue
            for out in outs:
                if out.path == name:
                    inside = f"{path}/{name}" if path else name
                    if not self._rules.ignores(name, inside, out.md5.endswith(".dir")):
                        self._out(os.path.join(local, name), inside, out)
                    stood.add(name)
        return stood

    def _out(self, local: str, path: str, out: Out) -> None:
        """What a pointer of DVC stands for: itself while the content is absent or as it says, else the content."""
        self._tree.kinds.add("dvc")
        found = Found(text_of(path), out.size or 0, None)
        found.algorithm, found.digest = "md5", out.md5
        if out.files is not None:
            found.extra["files"] = out.files
        if os.path.isdir(local):
            size, files = _measure(local, self._rules)
            if (out.size is not None and size != out.size) or (out.files is not None and files != out.files):
                self._tree.notes.append(f"{path} is not as its .dvc file says: its files are listed instead")
                return self._folder(local, path)
        elif os.path.lexists(local):
            try:
                about = os.stat(local)
            except OSError:
                about = None
            if about is not None and stat.S_ISREG(about.st_mode):
                if out.size is not None and about.st_size != out.size:
                    self._tree.notes.append(f"{path} is not as its .dvc file says: its content is listed instead")
                    return self._file(local, path, None)
                found.mtime = about.st_mtime_ns / 1e6
                found.size = about.st_size
                if out.is_md5 and not out.md5.endswith(".dir"):
                    # Its bytes are at hand and so is what they should be: hashed by the caller and compared.
                    found.local, found.stamp, found.out, found.digest = local, stamp_of(about), out, None
        self._add(found)

    def _file(self, local: str, path: str, entry: os.DirEntry[str] | None) -> None:
        try:
            about = os.stat(local) if entry is None else entry.stat()
        except OSError as error:
            return self._unread(path, error)
        if not stat.S_ISREG(about.st_mode):
            return self._skip("pipes, sockets or devices are no data and were left out")
        found = Found(text_of(path), about.st_size, about.st_mtime_ns / 1e6)
        if about.st_size < LFS_BYTES:
            pointed = self._lfs(local, about.st_size)
            if pointed is not None:
                self._tree.kinds.add("git-lfs")
                found.digest, found.size = pointed
                return self._add(found)
        found.local, found.stamp = local, stamp_of(about)
        self._add(found)

    def _lfs(self, local: str, size: int) -> tuple[str, int] | None:
        # Its shortest pointer has 127 bytes.
        if size < 100:
            return None
        try:
            fd = os.open(local, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
            try:
                return read_lfs(os.read(fd, LFS_BYTES))
            finally:
                os.close(fd)
        except OSError:
            return None

    def _unread(self, path: str, error: OSError) -> None:
        found = Found(text_of(path), 0, None)
        found.algorithm, found.digest = "none", errno.errorcode.get(error.errno or 0, "EIO")
        self._add(found)

    def _add(self, found: Found) -> None:
        if found.path in self._seen:
            self._skip("names were met twice, or look the same as another one, and count once")
            return
        if len(self._seen) >= FILES:
            raise ValueError(f"files: more than {FILES} files; track the folders below one by one")
        self._seen.add(found.path)
        self._tree.files.append(found)

    def _skip(self, what: str) -> None:
        self._skipped[what] = self._skipped.get(what, 0) + 1


def _measure(folder: str, rules: _Rules) -> tuple[int, int]:
    size = files = 0
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not rules.ignores(name, name, True)]
        for name in names:
            try:
                size += os.stat(os.path.join(at, name)).st_size
                files += 1
            except OSError:
                pass
    return size, files
