"""``wandb.Artifact``: files under a name, kept by the run that logs them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping

from ..media import Media
from ..media_source import existing_file
from .missing import Error, unsupported
from .values import usable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

    from .session import Run


class Artifact:
    """Files to be logged together: ``artifact.add_file("model.pt")``, then ``run.log_artifact(artifact)``.

    They become files of the run under ``artifacts/<name>``; equal content is stored once, whichever runs have it.
    """

    def __init__(
        self,
        name: str,
        type: str,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError("name must be a text that is not empty")
        del options
        self.name = name.partition(":")[0]
        self.type = str(type)
        self.description = description
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.aliases: list[str] = []
        #: Name within the artifact to a path or an object.
        self.files_: dict[str, Any] = {}
        self._run: Run | None = None
        self._folder: str | None = None

    def add_file(self, local_path: Any, name: str | None = None, **options: Any) -> None:
        """One file. A copy is made at once, unless ``policy="immutable"`` says that it will not change."""
        place = existing_file(local_path, "local_path")
        if options.get("policy") != "immutable":
            place = self._copied(place)
        self.files_[name or os.path.basename(os.fsdecode(os.fspath(local_path)))] = place

    def add_dir(self, local_path: Any, name: str | None = None, **options: Any) -> None:
        """All files of a folder."""
        folder = os.fsdecode(os.fspath(local_path))
        if not os.path.isdir(folder):
            raise ValueError(f"local_path must be a folder, {folder!r} is none")
        for place, folders, names in os.walk(folder):
            folders.sort()
            for one in sorted(names):
                path = os.path.join(place, one)
                if os.path.isfile(path):
                    relative = os.path.relpath(path, folder)
                    self.add_file(path, os.path.join(name, relative) if name else relative, **options)

    def add(self, obj: Any, name: str, **options: Any) -> None:
        """A table, picture or other object."""
        if not isinstance(obj, Media):
            raise Error(f"obj must be an object of wandb's data types, not {type(obj).__name__}")
        self.files_[name] = obj

    def add_reference(self, uri: Any, name: str | None = None, **options: Any) -> None:
        """A place elsewhere: noted, not copied. A path here is a file."""
        text = str(uri)
        local = text[7:] if text.startswith("file://") else text
        if "://" not in local and os.path.isdir(local):
            return self.add_dir(local, name)
        if "://" not in local and os.path.isfile(local):
            return self.add_file(local, name)
        self.metadata.setdefault("references", []).append(text)
        return None

    @contextlib.contextmanager
    def new_file(self, name: str, mode: str = "x", encoding: str | None = None, **options: Any) -> Iterator[IO[Any]]:
        """A file to be written: ``with artifact.new_file("notes.txt") as file: …``."""
        place = os.path.join(self._own_folder(), f"{len(self.files_)}-{os.path.basename(name)}")
        with open(place, mode.replace("x", "w"), encoding=encoding) as file:
            yield file
        self.files_[name] = place

    def _copied(self, place: str) -> str:
        copy = os.path.join(self._own_folder(), f"{len(self.files_)}-{os.path.basename(place)}")
        shutil.copyfile(place, copy)
        return copy

    def _own_folder(self) -> str:
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="fieldbook-artifact-")
        return self._folder

    @property
    def id(self) -> str:
        """The path below which the files lie."""
        return usable(f"artifacts/{self.name}")

    @property
    def version(self) -> str:
        """The newest: files under a path keep all their versions."""
        return "latest"

    def wait(self, timeout: int | None = None) -> Artifact:
        """Nothing to wait for: the files are kept when ``log_artifact`` returns."""
        return self

    def save(self, *_: Any, **__: Any) -> None:
        """Logs the artifact in the run that is open."""
        from . import current

        current("Artifact.save").log_artifact(self)

    def download(self, root: str | None = None, **_: Any) -> str:
        """Writes the files that this script has logged to a folder, and returns it.

        Raises :class:`Error` for an artifact of another run: going on without its files would be worse.
        """
        if self._run is None:
            raise Error(
                f"the artifact {self.name!r} is not one that this script has logged; take its files from the field book: "
                "fieldbook.run(id)[path].download()"
            )
        root = root or os.path.join("artifacts", self.name)
        for name in self.files_:
            target = os.path.join(root, name)
            os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
            self._run.fieldbook_run[usable(f"{self.id}/{name}")].download(target)
        return root

    def log_in(self, run: Run, aliases: Any = None) -> None:
        """Keeps the files in a run. The copies made before are then given up."""
        self._run = run
        self.aliases = [str(alias) for alias in aliases or ["latest"]]
        about = {"artifact": self.name, "type": self.type, "aliases": self.aliases}
        run.set_attributes(
            {
                f"{self.id}/type": self.type,
                **({f"{self.id}/description": self.description} if self.description else {}),
                **({f"{self.id}/metadata": self.metadata} if self.metadata else {}),
            }
        )
        for name, source in self.files_.items():
            path = usable(f"{self.id}/{name}")
            kind = "model" if self.type == "model" and not isinstance(source, Media) else None
            own = os.path.basename(name) or None
            run.keep(path, source, name=own if not isinstance(source, Media) else None, kind=kind, meta=about)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def of_path(path: Any, name: str | None, type: str | None) -> Artifact:
    """``log_artifact("model.pt", name="model", type="model")``: the artifact of a file or folder."""
    place = os.fsdecode(os.fspath(path))
    artifact = Artifact(name or os.path.basename(os.path.normpath(place)), type or "unspecified")
    if os.path.isdir(place):
        artifact.add_dir(place)
    else:
        artifact.add_file(place)
    return artifact


def used(name: str, type: str | None) -> Artifact:
    """``use_artifact``: an artifact whose files are elsewhere."""
    unsupported("use_artifact", "take files of other runs by fieldbook.run(id)[path].download()")
    return Artifact(name.rpartition("/")[2], type or "unspecified")
