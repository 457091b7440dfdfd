"""What lies under a path, and its verbs: ``run["train/loss"].append(0.3)``, ``run["model"].upload("model.pt")``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from . import tags, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .data import DataVersion
    from .run import Run


class Attribute:
    """A place in a run. Made by ``run[path]``; nothing is recorded by that alone."""

    __slots__ = ("_path", "_run")

    def __init__(self, run: Run, path: str) -> None:
        self._run = run
        self._path = path

    # -- attributes -------------------------------------------------------------------------------------------------

    def assign(self, value: Any) -> None:
        """Sets the attribute, as ``run[path] = value`` does."""
        self._run[self._path] = value

    def delete(self) -> None:
        """Removes the attribute, or file, and everything below it, as ``del run[path]`` does."""
        del self._run[self._path]

    def update(self, values: Mapping[str, Any]) -> None:
        """Sets several below this path: ``run["params"].update({"lr": 0.1, "model": {"depth": 3}})``."""
        self._run[self._path] = _mapping(values)

    @property
    def value(self) -> Any:
        """What this process last set here. Raises ``KeyError`` for what it has not set."""
        return self._run._echo.values[self._path]

    def add(self, *texts: str) -> None:
        """Puts texts into the set at this path: ``run["labels"].add("blurry", "night")``.

        Each member stands by itself, so that sets from several processes, machines and people become one.
        """
        members = tags.check_members(texts, "texts")
        if members:
            self._run[self._path] = dict.fromkeys(members, True)

    def remove(self, *texts: str) -> None:
        """Takes texts out of the set, whoever put them in."""
        members = tags.check_members(texts, "texts")
        paths = [values.check_path(f"{self._path}/{member}", "texts") for member in members]
        if paths:
            self._run._delete(paths)

    @property
    def members(self) -> set[str]:
        """The texts that this process has put into the set and not taken out."""
        return {tags.member_of(part) for part in self._run._echo.members(self._path)}

    # -- series -----------------------------------------------------------------------------------------------------

    def append(self, value: Any, step: Any = None) -> None:
        """One more point of the series at this path; without a step, one more than its last.

        A number makes a metric. A text, picture, figure, table, page, histogram, sound or file makes a series of such:
        ``run["samples"].append(fieldbook.Image(array, caption="a cat"), step=3)``; arrays, tensors, PIL images, data
        frames and charts of matplotlib, plotly and Altair are recognised as they are.
        """
        self._run.log({self._path: value}, step)

    def extend(self, values: Iterable[Any], steps: Iterable[Any] | None = None) -> None:
        """Several points in order: ``run["train/loss"].extend([0.3, 0.2], steps=[10, 20])``."""
        from . import series

        series.extend(self._run, self._path, values, steps)

    # -- files ------------------------------------------------------------------------------------------------------

    def upload(
        self,
        source: Any,
        *,
        name: str | None = None,
        kind: str | None = None,
        mime: str | None = None,
        meta: Mapping[str, Any] | None = None,
        travel: str | None = None,
        link: bool = False,
    ) -> None:
        """Keeps a file under this path: a path, bytes, an open file, a figure, a picture, a model, or any object.

        When the call returns the copy is complete, so a checkpoint may be rotated away at once; uploading again is the
        next version. Models (torch, Keras, scikit-learn, XGBoost …), state dicts and other objects are saved by their
        own library, else by pickle, with framework, version, class and size noted.

        ``kind`` is ``"file"`` or ``"model"`` (by itself: what it is). ``travel`` says when the bytes go to a relay:
        ``"now"``, ``"request"`` (when somebody asks) or ``"never"``; by default as the agent is set up. ``link=True``
        hard-links instead of copying, for files that will be replaced or deleted but never rewritten in place.

        A path without a file is a mistake (``ValueError``); a file that vanishes or cannot be read while it is copied, or
        a full disk, is told and does not raise.
        """
        from . import upload

        upload.upload(
            self._run, self._path, source, name=name, kind=kind, mime=mime, meta=meta, travel=travel, link=link
        )

    def upload_files(self, files: Any, *, travel: str | None = None, link: bool = False) -> list[str]:
        """Keeps several files below this path; ``files`` as in :meth:`fieldbook.Run.upload_files`."""
        from . import upload

        return upload.upload_files(self._run, files, self._path, travel=travel, link=link)

    def download(self, destination: str | os.PathLike[str] = ".") -> str:
        """Writes the file at this path to a folder or a path of its own, and returns where it lies.

        It is taken from what this run has kept, else from this machine's field book. Raises ``FileNotFoundError`` when
        nobody here has it.
        """
        from .download import download

        return download(self._run, self._path, destination)

    def track_files(self, files: Any, ignore: Any = ()) -> DataVersion | str | None:
        """Notes which data the run saw, without copying it: ``run["data/train"].track_files("data/")``.

        ``files`` is a folder, file, glob or ``s3://`` URL, or a list of paths; ``ignore`` holds patterns to leave out.
        The attribute becomes a digest of the tree, the same on every machine for the same data.
        """
        from . import data

        return data.track(self._run, self._path, files, ignore)

    # -- paths ------------------------------------------------------------------------------------------------------

    def __getitem__(self, path: str) -> Attribute:
        return self._run[f"{self._path}/{path}"]

    def __setitem__(self, path: str, value: Any) -> None:
        self._run[f"{self._path}/{path}"] = value

    def __delitem__(self, path: str) -> None:
        del self._run[f"{self._path}/{path}"]

    def __repr__(self) -> str:
        return f"<fieldbook attribute {self._path!r} of run {self._run.id}>"


def _mapping(given: Any) -> Any:
    if values.members_of(given) is None:
        raise TypeError(f"values must be a mapping, not {type(given).__name__}")
    return given
