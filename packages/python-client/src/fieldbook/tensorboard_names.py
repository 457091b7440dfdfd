"""From folders and tags of TensorBoard to attribute paths.

A tag keeps its slashes. What a path cannot hold is written so that it can be read back: a control character and a ``%`` as
``%`` and two hexadecimal digits of each UTF-8 byte, an empty part as ``%``. ``train//loss`` is ``train/%/loss``.

The folder in which the first event file lies is the run's own; files elsewhere get the way from there as a prefix, so
that the names of two runs agree although their folders carry dates. ``train``, ``validation`` and the like are parts of a run.
"""

from __future__ import annotations

import hashlib
import os
import re

from .journal import PATH_LIMIT

_SPLITS = frozenset(["train", "training", "validation", "valid", "val", "test", "testing", "eval", "evaluation", "dev"])
#: The folder that ``add_hparams`` of torch and tensorboardX makes for a session.
_MOMENT = re.compile(r"\d{9,11}(?:\.\d+)?\Z")
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff%]")


def path_of(tag: str, prefix: str = "") -> str:
    """The attribute path of a tag."""
    parts = [_UNUSABLE.sub(_escape, part) if part else "%" for part in tag.split("/")]
    path = "/".join(([prefix] if prefix else []) + parts)
    encoded = path.encode("utf-8", "replace")
    if len(encoded) <= PATH_LIMIT:
        return path
    # Not readable back, but still its own: a cut name with the beginning of its digest.
    mark = "%~" + hashlib.sha256(encoded).hexdigest()[:12]
    return encoded[: PATH_LIMIT - len(mark)].decode("utf-8", "ignore").rstrip("/") + mark


def tag_of(path: str) -> str:
    """The tag from which :func:`path_of` made a path."""
    return "/".join("" if part == "%" else _unescape(part) for part in path.split("/"))


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02x}" for byte in match[0].encode("utf-8", "surrogatepass"))


def _unescape(part: str) -> str:
    return re.sub(
        r"(?:%[0-9a-f]{2})+",
        lambda match: bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "surrogatepass"),
        part,
    )


class Folders:
    """Prefixes of the folders of one run."""

    def __init__(self, root: str | None = None) -> None:
        #: The folder of the run itself; known with the first file.
        self.root = root
        self._sessions: dict[str, str] = {}

    def prefix_of(self, folder: str) -> str:
        """What stands before the tags of a folder's files; empty for the run's own folder."""
        if self.root is None:
            self.root = run_folder(folder)
        if folder == self.root:
            return ""
        above = os.path.dirname(self.root)
        if _below(folder, self.root):
            relative = os.path.relpath(folder, self.root)
        elif _below(folder, above) and above != "/":
            relative = os.path.relpath(folder, above)
        else:
            relative = os.path.basename(folder)
        parts = relative.split(os.sep)
        if _MOMENT.match(parts[-1]):
            parts[-1] = self._session(folder)
        return path_of("/".join(part for part in parts if part))[: PATH_LIMIT // 2] if any(parts) else ""

    def _session(self, folder: str) -> str:
        """The first session of hyper-parameters belongs to the run; the others are numbered, not dated."""
        number = len(self._sessions) + 1
        return self._sessions.setdefault(folder, "" if number == 1 else f"session-{number}")


def run_folder(folder: str) -> str:
    """The folder of the run to which a folder of event files belongs."""
    while os.path.basename(folder).lower() in _SPLITS or _MOMENT.match(os.path.basename(folder)):
        above = os.path.dirname(folder)
        if above in (folder, "/"):
            break
        folder = above
    return folder


def _below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")
