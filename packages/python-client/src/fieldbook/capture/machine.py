"""The machine that a run is on: system, processor, memory, disks, and what a container leaves of them."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterable

from . import procfs
from .cgroup import Cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def describe(folders: Iterable[str] = ()) -> dict[str, Any]:
    """Section ``machine``: ``system``, ``distribution``, ``kernel``, ``architecture``, ``cpu``, ``cores``, ``threads``, ``usable``
    (processors this process may run on), ``cpu_limit``, ``memory_bytes``, ``memory_limit_bytes``, ``swap_bytes``, ``disks``."""
    memory = procfs.memory(procfs.read("/proc/meminfo"))
    group = Cgroup() if sys.platform == "linux" else None
    model, cores = cpu(procfs.read("/proc/cpuinfo", 1 << 22))
    return {
        "system": platform.system(),
        "distribution": distribution(procfs.read("/etc/os-release")),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpu": model or platform.processor() or None,
        "cores": cores,
        "threads": os.cpu_count(),
        "usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "cpu_limit": group.cpus() if group is not None else None,
        "memory_bytes": memory.get("total") or _memory_elsewhere(),
        "memory_limit_bytes": group.memory_limit() if group is not None else None,
        "swap_bytes": memory.get("swap_total"),
        "disks": disks(folders, procfs.read("/proc/mounts")),
    }


def cpu(cpuinfo: str) -> tuple[str | None, int | None]:
    """Model and physical cores, of ``/proc/cpuinfo``."""
    model = None
    cores: set[tuple[str, str]] = set()
    package = ""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        key, value = key.strip(), value.strip()
        if key in ("model name", "Model", "cpu model") and model is None:
            model = value
        elif key == "physical id":
            package = value
        elif key == "core id":
            cores.add((package, value))
    return model, len(cores) or None


def distribution(os_release: str) -> str | None:
    """``PRETTY_NAME`` of ``/etc/os-release``."""
    for line in os_release.splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip().strip("\"'") or None
    return None


def disks(folders: Iterable[str], mounts: str) -> list[dict[str, Any]]:
    """Size, free space and file system of the disks that these folders are on, each disk once."""
    found: list[dict[str, Any]] = []
    seen: set[int] = set()
    table = [line.split() for line in mounts.splitlines()]
    for folder in folders:
        try:
            device = os.stat(folder).st_dev
            usage = shutil.disk_usage(folder)
        except OSError:
            continue
        if device in seen:
            continue
        seen.add(device)
        real = os.path.realpath(folder)
        on = [words for words in table if len(words) > 2 and (real + "/").startswith(words[1].rstrip("/") + "/")]
        mount = max(on, key=lambda words: len(words[1]), default=None)
        found.append(
            {
                "folder": folder,
                "filesystem": mount[2] if mount else None,
                "total_bytes": usage.total,
                "free_bytes": usage.free,
            }
        )
    return found


def _memory_elsewhere() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
