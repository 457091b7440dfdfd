"""System metrics: the parsers on recorded text, and samples of real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from capture_support import Captured, environment, until, write
from fieldbook.capture import procfs
from fieldbook.capture.cgroup import Cgroup
from fieldbook.capture.system import SystemSampler, Tree, of_ps
from support import Home

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

STAT = """cpu  10132153 290696 3084719 46828483 16683 0 25195 100 175628 0
cpu0 1393280 32966 572056 13343292 6130 0 17875 0 23933 0
intr 199292 0 0
ctxt 1990473
"""
MEMINFO = """MemTotal:       65843024 kB
MemFree:         1234567 kB
MemAvailable:   43210000 kB
Buffers:          900000 kB
SwapTotal:       2097148 kB
SwapFree:        2000000 kB
HugePages_Total:       0
"""
DISKSTATS = """   8       0 sda 89325 12345 7654321 45678 123456 65432 9876543 234567 0 345678 280245 0 0 0 0 1 2
   8       1 sda1 89000 12000 7650000 45000 123000 65000 9870000 234000 0 345000 279000
 259       0 nvme0n1 100 0 2048 5 200 0 4096 9 0 14 14 0 0 0 0
 253       0 dm-0 100 0 9999 5 200 0 9999 9 0 14 14
   7       0 loop0 10 0 100 0 0 0 0 0 0 0 0
"""
NETDEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 5000000   10000    0    0    0     0          0         0  5000000   10000    0    0    0     0       0          0
  eth0:123456789  98765    0    0    0     0          0         0 987654321  56789    0    0    0     0       0          0
docker0:   11111     111    0    0    0     0          0         0    22222     222    0    0    0     0       0          0
  ib0: 1000 10 0 0 0 0 0 0 2000 20 0 0 0 0 0 0
"""


def test_recorded_texts() -> None:
    """[CAP-9]"""
    total = 10132153 + 290696 + 3084719 + 46828483 + 16683 + 0 + 25195 + 100
    assert procfs.cpu_ticks(STAT) == (total - 46828483 - 16683, total)
    assert procfs.memory(MEMINFO) == {
        "total": 65843024 * 1024,
        "available": 43210000 * 1024,
        "swap_total": 2097148 * 1024,
        "swap_free": 2000000 * 1024,
    }
    disks = [name for name in ("sda", "sda1", "nvme0n1", "dm-0", "loop0") if procfs.is_disk(name) and name != "sda1"]
    assert procfs.disk_bytes(DISKSTATS, disks) == ((7654321 + 2048) * 512, (9876543 + 4096) * 512)
    assert procfs.network_bytes(NETDEV) == (123456789 + 1000, 987654321 + 2000)
    assert procfs.load("0.52 0.58 0.59 2/1234 56789\n") == 0.52
    assert procfs.process_io(
        "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n"
    ) == (4096, 8192)


def test_a_process_of_any_name() -> None:
    """[CAP-9]"""
    stat = "1234 (a) b (c) S 1 1234 1234 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 7 0 987654 1000000 4321 18446744073709551615 1 1 0"
    found = procfs.process(stat)
    assert found is not None
    assert (found.state, found.parent, found.ticks, found.threads, found.start, found.pages) == (
        "S",
        1,
        300,
        7,
        987654,
        4321,
    )


@pytest.mark.parametrize("text", ["", "garbage", "cpu \n", "1 (x) R", "\0\0\0", "eth0: 1 2 3", "MemTotal: lots kB"])
def test_no_text_raises(text: str) -> None:
    """[CAP-9]"""
    assert procfs.cpu_ticks(text) is None
    assert procfs.memory(text) == {}
    assert procfs.disk_bytes(text, ["sda"]) is None
    assert procfs.network_bytes(text) is None
    assert text[:1].isdigit() or procfs.load(text) is None
    assert procfs.process(text) is None
    assert procfs.process_io(text) is None
    assert procfs.cgroup_path(text) is None
    assert procfs.key_values(text) == {}


def test_cgroups_of_both_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[CAP-9]"""
    mount, proc = tmp_path / "cg", tmp_path / "proc"
    monkeypatch.setattr("fieldbook.capture.cgroup.MOUNT", str(mount))
    write(
        tmp_path,
        {
            "proc/7/cgroup": "0::/job/step\n",
            "cg/job/memory.max": "8589934592\n",
            "cg/job/cpu.max": "max 100000\n",
            "cg/job/step/memory.current": "1048576\n",
            "cg/job/step/memory.max": "max\n",
            "cg/job/step/cpu.max": "250000 100000\n",
            "cg/job/step/cpu.stat": "usage_usec 123\nthrottled_usec 1500000\n",
            "proc/8/cgroup": "12:memory:/m\n3:cpu,cpuacct:/c\n1:name=systemd:/x\n",
            "cg/memory/m/memory.usage_in_bytes": "2097152\n",
            "cg/memory/m/memory.limit_in_bytes": "4194304\n",
            "cg/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "cg/cpu/c/cpu.cfs_quota_us": "150000\n",
            "cg/cpu/c/cpu.cfs_period_us": "100000\n",
            "cg/cpu/c/cpu.stat": "nr_periods 1\nthrottled_time 2000000000\n",
            # In a container: the path is the host's, and the mount is the group.
            "proc/9/cgroup": "0::/docker/abc\n",
        },
    )
    two = Cgroup(7, str(mount), str(proc))
    assert (two.memory_bytes(), two.memory_limit(), two.cpus(), two.throttled_seconds()) == (
        1048576,
        8589934592,
        2.5,
        1.5,
    )
    one = Cgroup(8, str(mount), str(proc))
    assert (one.memory_bytes(), one.memory_limit(), one.cpus(), one.throttled_seconds()) == (2097152, 4194304, 1.5, 2.0)
    none = Cgroup(9, str(mount), str(proc))
    assert (none.memory_bytes(), none.memory_limit(), none.cpus(), none.throttled_seconds()) == (None, None, None, None)
    write(
        tmp_path,
        {
            "cg/memory.current": "5\n",
            "cg/cpu.stat": "throttled_usec 0\n",
            "cg/memory.max": "10\n",
            "cg/cpu.max": "50000 100000\n",
        },
    )
    inside = Cgroup(9, str(mount), str(proc))
    assert (inside.memory_bytes(), inside.memory_limit(), inside.cpus(), inside.throttled_seconds()) == (
        5,
        10,
        0.5,
        0.0,
    )


BUSY = "import sys, time, os\nprint('up', flush=True)\nsys.stdin.readline()\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass\nprint('done', flush=True)\nsys.stdin.readline()\n"


@only_linux
def test_a_tree_counts_grandchildren_orphans_and_threads() -> None:
    """[CAP-9]"""
    script = f"""
import subprocess, sys, threading, os
inner = [sys.executable, "-c", {BUSY!r}]
# A grandchild whose parent ends at once belongs to somebody else afterwards.
middle = subprocess.Popen([sys.executable, "-c", "import subprocess, sys, time\\nsubprocess.Popen(sys.argv[1:])\\ntime.sleep(0.5)", *inner])
event = threading.Event()
threading.Thread(target=event.wait, daemon=True).start()
middle.wait()
print("orphaned", flush=True)
# What is written to it is for the grandchild, which has the same input: two readers would race for it.
event.wait()
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    tree = Tree([process.pid])
    assert process.stdout.readline() == "up\n"
    assert tree.sample(1.0)["processes"] == 3
    assert process.stdout.readline() == "orphaned\n"
    found = tree.sample(1.0)
    assert (found["processes"], found["threads"]) == (2, 3)
    assert found["rss_bytes"] > 2 * 5_000_000
    process.stdin.write("\n")
    process.stdin.flush()
    begun = time.monotonic()
    assert process.stdout.readline() == "done\n"
    seconds = time.monotonic() - begun
    assert 30 < tree.sample(seconds)["cpu_percent"] * seconds < 80, "half a second of work"
    process.kill()
    process.communicate("\n")
    until(lambda: tree.sample(1.0).get("processes", 0) <= 1)


def test_a_kernel_that_lists_no_children(tmp_path: Path) -> None:
    """[CAP-9]"""
    for pid, parent in ((10, 1), (11, 10), (12, 11), (13, 1), (14, 13)):
        stat = f"{pid} (x) S {parent} 0 0 0 -1 0 0 0 0 0 100 0 0 0 20 0 2 0 {pid} 0 50 0"
        write(tmp_path, {f"{pid}/stat": stat, f"{pid}/task/{pid}/stat": stat})
    found = Tree([10], proc=str(tmp_path), without=[12]).sample(1.0)
    assert (found["processes"], found["threads"]) == (2, 4)
    assert Tree([10], proc=str(tmp_path)).sample(1.0)["processes"] == 3


@only_linux
def test_written_bytes(tmp_path: Path) -> None:
    """[CAP-9]"""
    script = f"import os, sys\nprint('up', flush=True)\nsys.stdin.readline()\nfd = os.open({str(tmp_path / 'f')!r}, os.O_CREAT | os.O_WRONLY)\nos.write(fd, b'x' * 4_000_000)\nos.fsync(fd)\nprint('done', flush=True)\nsys.stdin.readline()\n"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    tree = Tree([process.pid])
    tree.sample(1.0)
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()
    assert 4_000_000 <= tree.sample(1.0)["written_bytes_per_s"] < 8_000_000
    process.communicate("\n")


@only_linux
def test_a_sample_of_this_machine(tmp_path: Path) -> None:
    """[CAP-9]"""
    sampler = SystemSampler([os.getpid()], str(tmp_path))
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    found = sampler.sample()
    assert found["process/cpu_percent"] > 10
    assert 0 < found["machine/cpu_percent"] <= 100
    assert found["process/rss_bytes"] > 10_000_000
    assert found["machine/memory_used_bytes"] > found["process/rss_bytes"]
    assert found["machine/disk_free_bytes"] > 0
    assert {
        "machine/load_1min",
        "process/threads",
        "machine/net_received_bytes_per_s",
        "process/read_bytes_per_s",
    } <= set(found)


def test_ps_elsewhere() -> None:
    """[CAP-9]"""
    text = "    1     0   0.0   1000\n  100     1  50.0  20000\n  101   100  25,5  10000\n  102   101   4.5   1000\n  200     1  99.0  50000\nheader\n"
    assert of_ps(text, [100]) == {"cpu_percent": 80.0, "rss_bytes": 31000 * 1024.0, "processes": 3.0}
    assert of_ps(text, [999]) == {}


@only_linux
def test_metrics_of_a_run(home: Home, tmp_path: Path) -> None:
    """[CAP-9]"""
    script = "import fieldbook, sys\nrun = fieldbook.init('p', capture={'interval': 0.2})\nprint('up', flush=True)\nsys.stdin.readline()\n"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    begun = time.monotonic()

    def samples(count: int) -> bool:
        return any(len(one.values("sys/process/cpu_percent")) >= count for one in Captured(home).journals("system"))

    until(lambda: samples(1))
    assert time.monotonic() - begun < 3
    until(lambda: samples(6))
    process.communicate("\n")
    found = Captured(home).companion
    steps = [step for path, step, *_ in found.points() if path == "sys/process/cpu_percent"]
    assert steps == sorted(steps)
    gaps = [after - before for before, after in zip(steps, steps[1:])]
    assert min(gaps[:-1]) > 0
    assert {path for path, *_ in found.points()} >= {
        "sys/process/rss_bytes",
        "sys/machine/cpu_percent",
        "sys/machine/memory_used_bytes",
    }
    assert all(value >= 0 for _, _, value, *_ in found.points())
