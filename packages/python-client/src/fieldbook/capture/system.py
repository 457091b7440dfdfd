"""Load of a process tree and of the machine, as metrics under ``sys/``.

``process`` counts the processes that were asked for and all their descendants, those that lost their parent included;
100 % of a processor is one processor there, and all processors for the ``machine``. Rates are means since the sample before.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from time import monotonic

from . import procfs
from .cgroup import Cgroup
from .program import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .gpus import Gpu, NvidiaSmi, Nvml

#: Beyond so many processes of one tree the rest is not looked at: a sample must stay cheap.
PROCESSES = 2000


class Tree:
    """A process tree over time."""

    def __init__(self, pids: Iterable[int], proc: str = "/proc", without: Iterable[int] = ()) -> None:
        self._roots = list(pids)
        self._proc = proc
        self._without = frozenset(without)
        self._page = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
        self._ticks_per_second = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
        #: By (pid, start), so that a pid that was given again is not taken for the one before: ticks, read, written.
        self._last: dict[tuple[int, int], tuple[int, int, int]] = {}
        self._fresh = True
        self._parents: dict[int, int] | None = None

    def sample(self, seconds: float) -> dict[str, float]:
        """Values since the last call, which was ``seconds`` ago."""
        now: dict[tuple[int, int], tuple[int, int, int]] = {}
        threads = pages = 0
        ticks = read = written = 0
        for pid, stat in self._processes():
            io = procfs.process_io(procfs.read(f"{self._proc}/{pid}/io", 4096)) or (0, 0)
            key = (pid, stat.start)
            now[key] = (stat.ticks, *io)
            threads += stat.threads
            pages += stat.pages
            # What a process used before it was first seen counts when it was born since; at the very first look nobody was.
            before = self._last.get(key, now[key] if self._fresh else (0, 0, 0))
            ticks += max(0, stat.ticks - before[0])
            read += max(0, io[0] - before[1])
            written += max(0, io[1] - before[2])
        fresh, self._fresh, self._last = self._fresh, False, now
        if not now:
            return {}
        found = {"rss_bytes": float(pages * self._page), "threads": float(threads), "processes": float(len(now))}
        if not fresh and seconds > 0:
            found["cpu_percent"] = 100.0 * ticks / self._ticks_per_second / seconds
            found["read_bytes_per_s"] = read / seconds
            found["written_bytes_per_s"] = written / seconds
        return found

    def _processes(self) -> list[tuple[int, procfs.ProcessStat]]:
        seen: dict[int, procfs.ProcessStat] = {}
        self._parents = None
        waiting = [*self._roots, *(pid for pid, _ in self._last)]
        while waiting and len(seen) < PROCESSES:
            pid = waiting.pop()
            if pid in seen or pid in self._without:
                continue
            stat = procfs.process(procfs.read(f"{self._proc}/{pid}/stat", 4096))
            # A pid of a process that ended and was given to a stranger.
            if stat is None or stat.state in "ZX" or (pid not in self._roots and self._stranger(pid, stat, seen)):
                continue
            seen[pid] = stat
            waiting += self._children(pid)
        return list(seen.items())

    def _stranger(self, pid: int, stat: procfs.ProcessStat, seen: dict[int, procfs.ProcessStat]) -> bool:
        return stat.parent not in seen and (pid, stat.start) not in self._last

    def _children(self, pid: int) -> list[int]:
        """Children of all threads of a process; the kernel lists them by thread."""
        found: list[int] = []
        try:
            tasks = os.listdir(f"{self._proc}/{pid}/task")
        except OSError:
            return found
        if tasks and not os.path.exists(f"{self._proc}/{pid}/task/{tasks[0]}/children"):
            return [child for child, parent in self._all_parents().items() if parent == pid]
        for task in tasks:
            found += [
                int(word) for word in procfs.read(f"{self._proc}/{pid}/task/{task}/children").split() if word.isdigit()
            ]
        return found

    def _all_parents(self) -> dict[int, int]:
        """Every process's parent, where a kernel lists no children; read once a sample."""
        if self._parents is None:
            stats = {
                int(name): procfs.process(procfs.read(f"{self._proc}/{name}/stat", 4096))
                for name in os.listdir(self._proc)
                if name.isdigit()
            }
            self._parents = {pid: stat.parent for pid, stat in stats.items() if stat is not None}
        return self._parents


class SystemSampler:
    """Samples the process trees of ``pids``, the machine and, if given, its GPUs. ``folder`` is the one whose disk matters."""

    def __init__(
        self,
        pids: Iterable[int],
        folder: str = "/",
        gpus: Nvml | NvidiaSmi | None = None,
        indices: Iterable[int] | None = None,
        without: Iterable[int] = (),
    ) -> None:
        pids = list(pids)
        self._tree = Tree(pids, without=without)
        self._pids = pids
        self._folder = folder
        self._gpus = gpus
        self._indices = None if indices is None else frozenset(indices)
        self._linux = sys.platform == "linux"
        self._cgroup = Cgroup(pids[0]) if self._linux and pids else None
        self._limit = self._cgroup.memory_limit() if self._cgroup is not None else None
        self._disks = _disks()
        self._counters: dict[str, float] = {}
        self._cpu: tuple[int, int] | None = None
        self._at = monotonic()
        self.sample()

    def sample(self) -> dict[str, float]:
        """``{"process/cpu_percent": …}``: names below ``sys/`` with their unit at the end. Rates are missing at first."""
        now = monotonic()
        seconds, self._at = now - self._at, now
        found: dict[str, float] = {}
        if self._linux:
            found.update({f"process/{name}": value for name, value in self._tree.sample(seconds).items()})
            self._machine(found, seconds)
        else:
            found.update(_elsewhere(self._pids))
        try:
            found["machine/disk_free_bytes"] = float(shutil.disk_usage(self._folder).free)
        except OSError:
            pass
        if self._gpus is not None:
            for gpu in self._gpus.look():
                if self._indices is None or gpu.index in self._indices:
                    found.update(_of_gpu(gpu))
        return found

    def _machine(self, found: dict[str, float], seconds: float) -> None:
        ticks = procfs.cpu_ticks(procfs.read("/proc/stat"))
        if ticks is not None and self._cpu is not None and ticks[1] > self._cpu[1]:
            busy = (ticks[0] - self._cpu[0]) / (ticks[1] - self._cpu[1])
            found["machine/cpu_percent"] = 100.0 * min(1.0, max(0.0, busy))
        self._cpu = ticks
        memory = procfs.memory(procfs.read("/proc/meminfo"))
        if "total" in memory and "available" in memory:
            found["machine/memory_used_bytes"] = float(memory["total"] - memory["available"])
        if memory.get("swap_total"):
            found["machine/swap_used_bytes"] = float(memory["swap_total"] - memory.get("swap_free", 0))
        load = procfs.load(procfs.read("/proc/loadavg"))
        if load is not None:
            found["machine/load_1min"] = load
        disk = procfs.disk_bytes(procfs.read("/proc/diskstats"), self._disks)
        self._rates(found, "machine/disk_read_bytes_per_s", "machine/disk_written_bytes_per_s", disk, seconds)
        network = procfs.network_bytes(procfs.read("/proc/net/dev"))
        self._rates(found, "machine/net_received_bytes_per_s", "machine/net_sent_bytes_per_s", network, seconds)
        self._group(found, seconds)

    def _group(self, found: dict[str, float], seconds: float) -> None:
        """What the container or the scheduler allows, where it allows less than the machine has."""
        if self._cgroup is None:
            return
        if self._limit is not None:
            used = self._cgroup.memory_bytes()
            if used is not None:
                found["cgroup/memory_bytes"] = float(used)
        throttled = self._cgroup.throttled_seconds()
        if throttled is not None:
            before = self._counters.get("throttled")
            self._counters["throttled"] = throttled
            if before is not None and seconds > 0 and self._cgroup.cpus() is not None:
                found["cgroup/throttled_percent"] = 100.0 * max(0.0, throttled - before) / seconds

    def _rates(
        self, found: dict[str, float], one: str, two: str, totals: tuple[int, int] | None, seconds: float
    ) -> None:
        if totals is None:
            return
        for name, total in zip((one, two), totals):
            before = self._counters.get(name)
            self._counters[name] = float(total)
            if before is not None and seconds > 0 and total >= before:  # less: a device or interface went away
                found[name] = (total - before) / seconds


def _disks() -> list[str]:
    try:
        return [name for name in os.listdir("/sys/block") if procfs.is_disk(name)]
    except OSError:
        return []


def _of_gpu(gpu: Gpu) -> dict[str, float]:
    names = ("utilisation_percent", "memory_bytes", "power_watts", "temperature_celsius")
    values = [(name, getattr(gpu, name)) for name in names]
    return {f"gpu/{gpu.index}/{name}": value for name, value in values if value is not None}


def _elsewhere(pids: list[int]) -> dict[str, float]:
    """Where there is no ``/proc``: what ``ps`` and the standard library say."""
    found: dict[str, float] = {}
    try:
        found["machine/load_1min"] = os.getloadavg()[0]
    except (AttributeError, OSError):
        pass
    said = run(["ps", "-axo", "pid=,ppid=,pcpu=,rss="], seconds=5.0)
    if said is not None and said.status == 0:
        found.update({f"process/{name}": value for name, value in of_ps(said.text, pids).items()})
    return found


def of_ps(text: str, pids: Iterable[int]) -> dict[str, float]:
    """Sums over a tree, of the lines of ``ps -axo pid=,ppid=,pcpu=,rss=``."""
    rows: dict[int, tuple[int, float, float]] = {}
    for line in text.splitlines():
        words = line.replace(",", ".").split()
        if len(words) == 4 and words[0].isdigit() and words[1].isdigit():
            rows[int(words[0])] = (int(words[1]), float(words[2]), float(words[3]) * 1024)
    tree = {pid for pid in pids if pid in rows}
    grown = True
    while grown:
        more = {pid for pid, row in rows.items() if row[0] in tree and pid not in tree}
        tree |= more
        grown = bool(more)
    if not tree:
        return {}
    return {
        "cpu_percent": sum(rows[pid][1] for pid in tree),
        "rss_bytes": sum(rows[pid][2] for pid in tree),
        "processes": float(len(tree)),
    }
