"""Which source files a run needs besides its commit: untracked ones, the entry point and the local modules it imports.

Nothing here takes a file that could hold secrets by its name or content (:mod:`fieldbook.secret_files`), and every content
that is taken passes :func:`fieldbook.redaction.redact_source`.
"""

from __future__ import annotations

import functools
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator

from ..redaction import redact_source
from ..secret_files import is_secret_content, is_secret_file

#: What people write by hand. Data, logs and checkpoints do not end like this.
_SUFFIXES = """
    .py .pyi .pyx .pxd .ipynb .sh .bash .yaml .yml .toml .json .cfg .ini .md .txt .r .jl .m .c .cc .cpp .cu .cuh .h .hpp .rs .go
    .js .ts .java .scala .lua .sql .gin .jsonnet .j2 .slurm .sbatch .pbs .tex .proto
"""
SUFFIXES = frozenset(_SUFFIXES.split())
NAMES = frozenset(("Makefile", "Dockerfile", "Snakefile", "Justfile", "CMakeLists.txt", "Pipfile"))
#: One file, all files together, and how many: sources, not the data beside them.
FILE_BYTES = 1024 * 1024
TOTAL_BYTES = 16 * 1024 * 1024
FILES = 500
#: Folders that hold what others wrote.
_FOREIGN = frozenset(
    ("site-packages", "dist-packages", "node_modules", ".venv", "venv", ".git", "__pycache__", ".tox", ".nox", ".eggs")
)
#: Environment as code, in the working directory and at the root of the repository.
ENVIRONMENT_FILES = re.compile(
    r"(Dockerfile|Containerfile)[\w.-]*\Z|[\w.-]+\.(dockerfile|Dockerfile)\Z|(docker-)?compose[\w.-]*\.ya?ml\Z|environment[\w.-]*\.ya?ml\Z|conda[\w.-]*\.ya?ml\Z"
    r"|(requirements|constraints)[\w.-]*\.(txt|in)\Z|pyproject\.toml\Z|setup\.(cfg|py)\Z|(poetry|uv|pdm|pixi|conda-lock|Pipfile|Cargo|flake)\.(lock|yml)\Z"
    r"|Pipfile\Z|pixi\.toml\Z|Makefile\Z|dvc\.(yaml|lock)\Z|\.python-version\Z|\.tool-versions\Z|apptainer\.def\Z|Singularity[\w.-]*\Z|package(-lock)?\.json\Z"
)


class Taken:
    """One file to keep: its place below its root, where it lies, its content (redacted), and how often it was redacted."""

    __slots__ = ("content", "path", "places", "relative")

    def __init__(self, relative: str, path: str, content: bytes, places: int) -> None:
        self.relative = relative
        self.path = path
        self.content = content
        self.places = places


class Budget:
    """How much may still be taken; ``left_out`` counts what was not, by reason."""

    def __init__(self, files: int = FILES, total: int = TOTAL_BYTES, each: int = FILE_BYTES) -> None:
        self.files = files
        self.total = total
        self.each = each
        self.left_out: dict[str, int] = {}

    def refuse(self, reason: str) -> None:
        """Counts a file that is not taken."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1

    def _no(self, reason: str) -> Taken | None:
        self.refuse(reason)
        return None

    def take(self, path: str, relative: str) -> Taken | None:
        """Reads a regular file within the limits; None, and a reason counted, for any other."""
        # A link has a name of its own.
        if is_secret_file(path) or (os.path.islink(path) and is_secret_file(os.path.realpath(path))):
            return self._no("may hold secrets")
        if not _is_path(relative):
            return self._no("a name that cannot be a path")
        try:
            # O_NONBLOCK: a named pipe of that name would wait for a writer.
            fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        except OSError:
            return self._no("cannot be read")
        try:
            facts = os.fstat(fd)
            if not stat.S_ISREG(facts.st_mode):
                return self._no("not a regular file")
            if facts.st_size > self.each:
                return self._no("too large")
            if self.files <= 0 or facts.st_size > self.total:
                return self._no("beyond the limit of all files")
            with os.fdopen(fd, "rb", closefd=False) as file:
                content = file.read(self.each + 1)[: self.each]
        except OSError:
            return self._no("cannot be read")
        finally:
            os.close(fd)
        if is_secret_content(path, content):
            return self._no("may hold secrets")
        self.files -= 1
        self.total -= len(content)
        return Taken(relative, path, *redact_source(content, relative))


def is_source(path: str) -> bool:
    """True for files that people write."""
    name = path.replace("\\", "/").rpartition("/")[2]
    return name in NAMES or os.path.splitext(name)[1].lower() in SUFFIXES


def untracked(root: str, paths: Iterable[str], budget: Budget) -> Iterator[Taken]:
    """Of the files that git does not know (paths below ``root``), the sources."""
    for relative in sorted(paths):
        if is_source(relative) and not _FOREIGN.intersection(relative.split("/")):
            taken = budget.take(os.path.join(root, relative), relative)
            if taken is not None:
                yield taken


def environment_files(folders: Iterable[str], budget: Budget) -> Iterator[Taken]:
    """Dockerfile, pyproject.toml, locks and the like in these folders; the first folder that has a name wins."""
    seen: set[str] = set()
    for folder in folders:
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            if name not in seen and ENVIRONMENT_FILES.match(name):
                taken = budget.take(os.path.join(folder, name), name)
                if taken is not None:
                    seen.add(name)
                    yield taken


def entry_point() -> str | None:
    """The file that this process was started with, of ``python file`` or ``python -m module``."""
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    return os.path.abspath(path) if isinstance(path, str) and os.path.isfile(path) else None


def roots(entry: str | None, folder: str | None, root: str | None = None) -> list[str]:
    """Folders whose modules are local: of the checkout, the working directory and the entry point; not ``/`` nor a home."""
    found: list[str] = []
    for said in (root, folder, os.path.dirname(entry) if entry else None):
        if said:
            place = os.path.realpath(said)
            if (
                place not in found
                and place != os.path.dirname(place)
                and place != os.path.realpath(os.path.expanduser("~"))
            ):
                found.append(place)
    # A file is named below the widest of them.
    return [place for place in found if not any(place != wide and _below(place, wide) for wide in found)]


def checkout_root(folder: str | None) -> str | None:
    """The folder around this one that has a ``.git``."""
    for _ in range(32):
        if folder is None:
            return None
        if os.path.exists(os.path.join(folder, ".git")):
            return folder
        above = os.path.dirname(folder)
        folder = above if above != folder else None
    return None


def loaded_modules(local: list[str], limit: int = FILES) -> list[str]:
    """Files of the modules that this process has imported from these folders, without what is installed."""
    found: list[str] = []
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and path.endswith((".py", ".pyx")) and is_local(path, local):
            found.append(os.path.abspath(path))
            if len(found) >= limit:
                break
    return sorted(set(found))


def is_local(path: str, local: list[str]) -> bool:
    """True below one of the folders, and not installed there (a virtual environment may lie in a project)."""
    if path.startswith((_OWN, _LIBRARY)) or _FOREIGN.intersection(path.split(os.sep)):
        return False
    path = os.path.join(_real(os.path.dirname(path)), os.path.basename(path))
    if _FOREIGN.intersection(path.split(os.sep)) or path.startswith((_OWN, _LIBRARY)):
        return False
    if sys.prefix != "/usr" and _below(path, os.path.join(_real(sys.prefix), "lib")):
        return False
    return any(_below(path, place) for place in local)


#: A training has thousands of modules in a few dozen folders, and each link on the way costs a system call.
_real = functools.lru_cache(maxsize=4096)(os.path.realpath)
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep


def imported_files(entry: str, local: list[str], path: Iterable[str] = (), limit: int = FILES) -> list[str]:
    """The local modules that a script imports, by its import statements and theirs: what is known without running it."""
    seen = {entry}
    waiting = [entry]
    searched = [os.path.abspath(place) for place in path]
    places = [
        os.path.dirname(entry),
        *(place for place in searched if is_local(os.path.join(place, "x"), local)),
        *local,
    ]
    while waiting and len(seen) < limit:
        file = waiting.pop()
        for name, level in _imports_of(file):
            bases = [_up(os.path.dirname(file), level - 1)] if level else places
            for base in bases:
                for found in _files_of(base, name):
                    if found not in seen and is_local(found, local):
                        seen.add(found)
                        waiting.append(found)
    return sorted(seen)


def relative_to(path: str, local: list[str]) -> str:
    """The path below the widest local folder that holds it, with ``/``; its name alone elsewhere."""
    real = os.path.realpath(path)
    for place in local:
        if _below(real, place):
            return os.path.relpath(real, place).replace(os.sep, "/")
    return os.path.basename(path)


def _imports_of(path: str) -> Iterator[tuple[str, int]]:
    import ast

    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read(FILE_BYTES))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, 0
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if base:
                yield base, node.level
            for alias in node.names:
                yield f"{base}.{alias.name}".lstrip("."), node.level


def _files_of(base: str, name: str) -> Iterator[str]:
    """Files that importing ``a.b.c`` below ``base`` runs: the packages on the way and the module."""
    place = base
    parts = name.split(".")
    for index, part in enumerate(parts):
        place = os.path.join(place, part)
        init = os.path.join(place, "__init__.py")
        if os.path.isfile(init):
            yield os.path.abspath(init)
        elif index == len(parts) - 1 and os.path.isfile(place + ".py"):
            yield os.path.abspath(place + ".py")
        elif not os.path.isdir(place):
            return


def _up(folder: str, levels: int) -> str:
    for _ in range(levels):
        folder = os.path.dirname(folder)
    return folder


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _is_path(relative: str) -> bool:
    try:
        size = len(relative.encode())
    except UnicodeEncodeError:
        return False
    parts = relative.split("/")
    return size <= 400 and all(parts) and ".." not in parts and not any(ord(c) < 32 or ord(c) == 127 for c in relative)
