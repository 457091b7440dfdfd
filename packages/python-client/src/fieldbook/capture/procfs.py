"""What Linux says about processes and the machine, as text in and numbers out, so that recorded text can be tested.

Every function gives None, or leaves a key out, for what the text does not say.
"""

from __future__ import annotations

from collections.abc import Iterable

#: diskstats counts in these whatever the device's own sector is.
SECTOR = 512
#: Interfaces whose bytes also pass a real one, or never leave the machine.
_INNER_NETWORK = (
    "lo",
    "veth",
    "docker",
    "br-",
    "virbr",
    "cni",
    "flannel",
    "cali",
    "tap",
    "tun",
    "vnet",
    "ifb",
    "dummy",
)
_INNER_DISKS = ("loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd")


def read(path: str, limit: int = 1 << 20) -> str:
    """A file's text, empty when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(limit).decode("utf-8", "replace")
    except OSError:
        return ""


def cpu_ticks(stat: str) -> tuple[int, int] | None:
    """Busy and all clock ticks of all processors together, of ``/proc/stat``."""
    for line in stat.splitlines():
        if line.startswith("cpu "):
            ticks = [int(word) for word in line.split()[1:9]]  # guest time is in user time already
            if len(ticks) >= 4:
                idle = ticks[3] + (ticks[4] if len(ticks) > 4 else 0)
                return sum(ticks) - idle, sum(ticks)
    return None


def memory(meminfo: str) -> dict[str, int]:
    """Bytes: ``total``, ``available``, ``swap_total``, ``swap_free``, of ``/proc/meminfo``."""
    names = {"MemTotal": "total", "MemAvailable": "available", "SwapTotal": "swap_total", "SwapFree": "swap_free"}
    found: dict[str, int] = {}
    for line in meminfo.splitlines():
        key, _, rest = line.partition(":")
        words = rest.split()
        if key in names and words and words[0].isdigit():
            found[names[key]] = int(words[0]) * 1024
    return found


def is_disk(name: str) -> bool:
    """True for a device whose traffic no other device counts as well."""
    return not name.startswith(_INNER_DISKS)


def disk_bytes(diskstats: str, disks: Iterable[str]) -> tuple[int, int] | None:
    """Bytes read and written by these whole devices, of ``/proc/diskstats``."""
    wanted = set(disks)
    read_bytes = written = 0
    seen = False
    for line in diskstats.splitlines():
        words = line.split()
        if len(words) >= 10 and words[2] in wanted:
            seen = True
            read_bytes += int(words[5]) * SECTOR
            written += int(words[9]) * SECTOR
    return (read_bytes, written) if seen else None


def network_bytes(dev: str) -> tuple[int, int] | None:
    """Bytes received and sent by interfaces that lead out of the machine, of ``/proc/net/dev``."""
    received = sent = 0
    seen = False
    for line in dev.splitlines():
        name, colon, rest = line.partition(":")
        words = rest.split()
        if colon and len(words) >= 16 and not name.strip().startswith(_INNER_NETWORK):
            seen = True
            received += int(words[0])
            sent += int(words[8])
    return (received, sent) if seen else None


def load(loadavg: str) -> float | None:
    """Load of the last minute, of ``/proc/loadavg``."""
    words = loadavg.split()
    try:
        return float(words[0])
    except (IndexError, ValueError):
        return None


class ProcessStat:
    """What ``/proc/<pid>/stat`` says: parent, state, clock ticks used, threads, resident pages, start."""

    __slots__ = ("pages", "parent", "start", "state", "threads", "ticks")

    def __init__(self, parent: int, state: str, ticks: int, threads: int, pages: int, start: int) -> None:
        self.parent = parent
        self.state = state
        self.ticks = ticks
        self.threads = threads
        self.pages = pages
        self.start = start


def process(stat: str) -> ProcessStat | None:
    """Fields counted behind the last ``)``: a process may be called ``a) b (c``."""
    words = stat.rpartition(")")[2].split()
    if len(words) < 22:
        return None
    return ProcessStat(
        int(words[1]), words[0], int(words[11]) + int(words[12]), int(words[17]), int(words[21]), int(words[19])
    )


def process_io(io: str) -> tuple[int, int] | None:
    """Bytes a process caused to be read from and written to storage, of ``/proc/<pid>/io``."""
    found: dict[str, int] = {}
    for line in io.splitlines():
        key, _, value = line.partition(":")
        if value.strip().isdigit():
            found[key] = int(value)
    if "read_bytes" not in found or "write_bytes" not in found:
        return None
    return found["read_bytes"], found["write_bytes"]


def cgroup_path(cgroup: str, controller: str = "") -> str | None:
    """The path of a process's group, of ``/proc/<pid>/cgroup``: of version 2, or of one controller of version 1."""
    for line in cgroup.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3 and (parts[1] == "" if not controller else controller in parts[1].split(",")):
            return parts[2]
    return None


def key_values(text: str) -> dict[str, int]:
    """``key number`` lines, as ``cpu.stat`` of a cgroup has them."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[1].isdigit():
            found[words[0]] = int(words[1])
    return found
