"""``python -m fieldbook import-tensorboard DIR -p PROJECT``: TensorBoard logs become runs, one per folder.

A folder's run has the same id wherever and whenever it is taken in, and how far its files were read is remembered, so
importing again adds what is new and nothing twice. ``train`` and ``validation`` below a folder, and the sessions that
``add_hparams`` makes, belong to the folder's run.
"""

from __future__ import annotations

import hashlib
import os
import sys

from . import environment, values
from .tensorboard_file import PIECE, EventFile
from .tensorboard_follow import State, age, is_event_file
from .tensorboard_names import Folders, run_folder
from .tensorboard_sink import Sink
from .version import VERSION
from .writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Head and time of the first event: there as soon as anything is.
ID_BYTES = 21

USAGE = """\
usage: python -m fieldbook import-tensorboard DIR [-p PROJECT] [-t TAG ...] [--home DIR]

Takes in TensorBoard event files: a run per folder. Again adds what is new.
"""


def main(arguments: list[str]) -> int:
    """Runs the program; returns the exit code."""
    options: dict[str, Any] = {"project": None, "tag": [], "home": None, "folder": None}
    names = {"-p": "project", "--project": "project", "-t": "tag", "--tag": "tag", "--home": "home"}
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word in ("-h", "--help"):
            sys.stdout.write(USAGE)
            return 0
        key = names.get(word)
        if (key is None and (word.startswith("-") or options["folder"] is not None)) or (key is not None and not words):
            sys.stderr.write(USAGE)
            return 2
        if key is None:
            options["folder"] = word
        elif key == "tag":
            options["tag"].append(words.pop(0))
        else:
            options[key] = words.pop(0)
    if options["folder"] is None:
        sys.stderr.write(USAGE)
        return 2
    folder = os.path.realpath(os.path.expanduser(options["folder"]))
    home = os.path.abspath(os.path.expanduser(options["home"])) if options["home"] else environment.home()
    try:
        project = options["project"] or os.path.basename(folder) or "tensorboard"
        environment.project_id(project)
        tags = [values.check_tag(tag, "--tag") for tag in options["tag"]]
    except (TypeError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if not os.path.isdir(folder):
        sys.stderr.write(f"{folder} is not a folder\n")
        return 3
    found = _runs(folder)
    if not found:
        sys.stderr.write(f"no TensorBoard event files below {folder}\n")
        return 3
    status = 0
    for root, paths in sorted(found.items()):
        try:
            run_id, points = _take_in(root, paths, os.path.relpath(root, folder), project, tags, home)
            sys.stdout.write(f"{run_id}  {points} points  {root}\n")
        except OSError as error:
            sys.stderr.write(f"{root}: {error}\n")
            status = 1
    return status


def _runs(folder: str) -> dict[str, list[str]]:
    """``{folder of a run: its event files}``."""
    files: dict[str, list[str]] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            if is_event_file(name):
                files.setdefault(place, []).append(os.path.join(place, name))
    found: dict[str, list[str]] = {}
    for place in sorted(files):
        root = run_folder(place)
        root = place if len(root) < len(folder) else root
        # What a writer puts below its own folder (``add_scalars`` makes one per line) is its run's too.
        above = next((known for known in found if place.startswith(known.rstrip("/") + "/") and known in files), None)
        found.setdefault(above or root, []).extend(files[place])
    return {root: sorted(paths, key=age) for root, paths in found.items()}


def _take_in(root: str, paths: list[str], name: str, project: str, tags: list[str], home: str) -> tuple[str, int]:
    """Records what is new of one run; returns its id and how many points that was."""
    run_id = _id_of(root, paths, environment.project_id(project))
    state = State(home, run_id, root)
    folders = Folders(root)
    writer: Writer | None = None
    sink: Sink | None = None
    points = 0
    last = 0.0
    for path in paths:
        key = os.path.relpath(path, root)
        file = EventFile(path, state.offsets.get(key, 0))
        prefix = folders.prefix_of(os.path.dirname(path))
        while not file.given_up:
            before = file.offset
            new = file.read(PIECE)
            if file.damaged_since is not None:
                file.give_up("its check is wrong")
            if new and writer is None:
                writer = _writer(
                    run_id, project, name if name != "." else os.path.basename(root), tags, home, new[0].time
                )
                sink = Sink(writer)
                state.begin(sink)
            for point in new:
                assert sink is not None
                sink.put(point, prefix)
                last = max(last, point.time)
            points += len(new)
            state.offsets[key] = file.offset
            if sink is not None:
                state.save(sink)
            if file.offset == before or file.size >= 0:
                break
    if writer is not None:
        writer.close(
            {"status": "finished", "exit_code": None, "signal": None, "error": None, "traceback": None, "time": last}
        )
    return run_id, points


def _writer(run_id: str, project: str, name: str, tags: list[str], home: str, created: float) -> Writer:
    project_id = environment.project_id(project)
    fixed = {
        "project": project,
        "project_id": project_id,
        "run": run_id,
        "writer": environment.mint_id(),
        "created": created,
        "name": name.encode()[: values.NAME_LIMIT].decode("utf-8", "ignore"),
        "group": None,
        "notes": None,
        "tags": tags,
        "parent": None,
        "forked": False,
        "heartbeat": None,
        "client": VERSION,
        # Of this process only what says whether it lives; the machine that wrote the files is not known.
        "pid": os.getpid(),
        "pid_start": environment.process_start(os.getpid()),
        "boot": environment.boot_id(),
    }
    folder = os.path.join(home, "journals", project_id, run_id)
    writer = Writer(folder, str(fixed["writer"]), lambda lock: {**fixed, "lock": lock})
    writer.open()
    return writer


def _id_of(root: str, paths: list[str], project_id: str) -> str:
    """The run's id: of the project, the folder's name and the oldest file's name and first event, which holds the moment it was made."""
    with open(paths[0], "rb") as file:
        key = os.path.basename(root).encode("utf-8", "surrogateescape") + b"\0" + file.read(ID_BYTES)
    key += b"\0" + project_id.encode() + b"\0" + os.path.basename(paths[0]).encode("utf-8", "surrogateescape")
    return f"tensorboard-{hashlib.sha256(key).hexdigest()[:20]}"
