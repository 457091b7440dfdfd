"""What is recorded beside a command's console: its event files, its surroundings, the load of its processes."""

from __future__ import annotations

from .launch_pump import Ended
from .launch_record import DRAIN_S, Part, Plan
from .tensorboard_follow import Follower
from .tensorboard_owner import Owners
from .writer import Writer


class EventFiles(Part):
    """TensorBoard event files that the command writes."""

    def __init__(self, plan: Plan, pid: int) -> None:
        owners = Owners(plan.run_id, pid)
        self._follower = Follower(plan.folders, plan.watch, owners, plan.home, plan.run_id)

    def start(self, writer: Writer) -> None:
        self._follower.start(writer)

    def stop(self, ended: Ended) -> None:
        self._follower.stop(DRAIN_S)
