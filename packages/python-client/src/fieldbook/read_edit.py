"""Changes to a run that has ended, where no agent runs: a further writer of it, with the role of a companion.

A journal is the only thing that this machine can write without its agent. The role ``system`` says that the end of this
writer says nothing of how the run went: a failed run stays failed.
"""

from __future__ import annotations

import os

from . import environment, journal
from .version import VERSION
from .writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def record(home: str, state: dict[str, Any], changes: list[dict[str, Any]]) -> None:
    """Writes a journal of ``changes``: ``{"set": {path: encoded value}}``, ``{"del": [path]}``, ``{"add": [tag]}``, ``{"remove": [tag]}``."""
    import time

    folder = os.path.join(home, "journals", state["project"], state["id"])
    meta = {
        "project": state["title"],
        "project_id": state["project"],
        "run": state["id"],
        "created": time.time() * 1000.0,
        "name": None,
        "group": None,
        "notes": None,
        "tags": [],
        "parent": None,
        "forked": False,
        "heartbeat": None,
        "client": VERSION,
        **environment.describe(),
        # Who changes a run later is not who ran it.
        "user": None,
        "host": None,
        "role": "system",
    }
    writer_id = environment.mint_id()
    writer = Writer(folder, writer_id, lambda lock: {**meta, "writer": writer_id, "lock": lock})
    writer.open()
    for change in changes:
        if "set" in change or "del" in change:
            writer.put(journal.ATTRS, {"set": change.get("set", {}), "del": change.get("del", [])})
        else:
            writer.put(journal.TAGS, {"add": change.get("add", []), "remove": change.get("remove", [])})
    writer.close({"status": "finished", "exit_code": None, "signal": None, "error": None, "traceback": None})
