"""The control group of a process: what a container or a scheduler lets it have, and what it uses of that."""

from __future__ import annotations

import os

from . import procfs

MOUNT = "/sys/fs/cgroup"
#: Version 1 says "no limit" by a number near 2^63.
_NO_LIMIT = 1 << 60


class Cgroup:
    """The group of one process, version 2 or 1. Values are None where there is no limit or no such group."""

    def __init__(self, pid: int | str = "self", mount: str = MOUNT, proc: str = "/proc") -> None:
        text = procfs.read(f"{proc}/{pid}/cgroup")
        self._two = self._folder(mount, procfs.cgroup_path(text), "memory.current", "cpu.stat")
        self._memory = self._cpu = None
        if self._two is None:
            self._memory = self._folder(
                os.path.join(mount, "memory"), procfs.cgroup_path(text, "memory"), "memory.usage_in_bytes"
            )
            self._cpu = self._folder(os.path.join(mount, "cpu"), procfs.cgroup_path(text, "cpu"), "cpu.cfs_quota_us")

    @staticmethod
    def _folder(mount: str, path: str | None, *files: str) -> str | None:
        """Where the group lies in the mount; in a container the path may be one of the host, and the mount is the group."""
        if path is None:
            return None
        for folder in (os.path.join(mount, path.lstrip("/")), mount):
            if all(os.path.exists(os.path.join(folder, file)) for file in files):
                return folder
        return None

    def memory_bytes(self) -> int | None:
        """What the group holds now, page cache included."""
        if self._two is not None:
            return _number(os.path.join(self._two, "memory.current"))
        return _number(os.path.join(self._memory, "memory.usage_in_bytes")) if self._memory else None

    def memory_limit(self) -> int | None:
        """The lowest limit of the group and those above it, in bytes."""
        found = (
            self._lowest(self._two, "memory.max") if self._two else self._lowest(self._memory, "memory.limit_in_bytes")
        )
        return None if found is None or found >= _NO_LIMIT else found

    def cpus(self) -> float | None:
        """How many processors' time the group may use."""
        if self._two is not None:
            best: float | None = None
            for folder in self._above(self._two):
                quota, _, period = procfs.read(os.path.join(folder, "cpu.max")).strip().partition(" ")
                if quota.isdigit() and period.isdigit() and int(period) > 0:
                    share = int(quota) / int(period)
                    best = share if best is None else min(best, share)
            return best
        if self._cpu is not None:
            quota_us = procfs.read(os.path.join(self._cpu, "cpu.cfs_quota_us")).strip()
            period_us = _number(os.path.join(self._cpu, "cpu.cfs_period_us"))
            if quota_us.isdigit() and period_us:
                return int(quota_us) / period_us
        return None

    def throttled_seconds(self) -> float | None:
        """How long the group was kept from running because its quota was used up, since it exists."""
        folder = self._two or self._cpu
        found = procfs.key_values(procfs.read(os.path.join(folder, "cpu.stat"))) if folder else {}
        if "throttled_usec" in found:
            return found["throttled_usec"] / 1e6
        return found["throttled_time"] / 1e9 if "throttled_time" in found else None

    def _lowest(self, folder: str | None, file: str) -> int | None:
        found = [_number(os.path.join(place, file)) for place in self._above(folder)] if folder else []
        limits = [number for number in found if number is not None]
        return min(limits) if limits else None

    @staticmethod
    def _above(folder: str) -> list[str]:
        places: list[str] = []
        while folder.startswith(MOUNT) or not places:
            places.append(folder)
            folder = os.path.dirname(folder)
        return places


def _number(path: str) -> int | None:
    text = procfs.read(path, 64).strip()
    return int(text) if text.isdigit() else None
