"""``init(run_id=…, resume=True)``: automatic steps go on where the run left off, as far as this machine knows.

What is known are the run's journals that lie here, and what an agent of this machine has taken in and still runs.
"""

from __future__ import annotations

import os

from . import journal, journal_reader
from .console import warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .run import Run


def continue_steps(run: Run) -> None:
    """Tells the run's writer the highest step that is known of each series. Warns when nothing is known, or not all can be read."""
    numbers: dict[str, float] = {}
    objects: dict[str, float] = {}
    found = False
    unread = ""
    for name in sorted(os.listdir(run._folder)):
        if not name.endswith(".fbj") or name.startswith(f"{run._writer.id}."):
            continue
        try:
            with open(os.path.join(run._folder, name), "rb") as file:
                read = journal_reader.read(file.read())
        except (OSError, journal_reader.JournalCorrupt) as error:
            unread = unread or f"{name}: {getattr(error, 'strerror', None) or error}"
            continue
        found = True
        for path, step, _, _, _ in read.points():
            numbers[path] = max(step, numbers.get(path, -1.0))
        for row in read.of(journal.OBJECT):
            path = row["path"]
            objects[path] = max(row["step"], objects.get(path, -1.0))
    found = _from_agent(run, numbers) or found
    if unread:
        warn(
            f"not all of run {run.id} that is here can be read ({unread}); steps without a number may be some of before."
        )
    elif not found:
        warn(f"nothing of run {run.id} is known on this machine; what is logged without a step begins at step 0.")
        return
    run._writer.continue_at(numbers, {path: step for path, step in objects.items() if path not in numbers})


def _from_agent(run: Run, numbers: dict[str, float]) -> bool:
    """The same from what a running agent has taken in and cleared away. False when there is none, or no answer."""
    try:
        from .reader import last_steps

        steps = last_steps(run._home, run.project, run.id)
    except Exception as error:
        warn(f"the agent could not say where run {run.id} left off: {error}")
        return False
    if steps is None:
        return False
    for path, step in steps.items():
        numbers[path] = max(step, numbers.get(path, -1.0))
    return True
