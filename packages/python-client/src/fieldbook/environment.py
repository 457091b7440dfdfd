"""Everything that is read from outside: environment variables, the process, the machine, git.

One place for every variable's name. Nothing here runs a program, opens a socket or raises: what cannot be had is None.
"""

from __future__ import annotations

import os
import sys
import time
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


HOME = "FIELDBOOK_HOME"
MODE = "FIELDBOOK_MODE"
USER = "FIELDBOOK_USER"
HOST = "FIELDBOOK_HOST"
#: The run to join: set by a person or a launcher, and by ``init`` for the processes that this one will start.
RUN_ID = "FIELDBOOK_RUN_ID"
#: ``<pid>:<writer>:<project id>`` of the process that set RUN_ID for its children.
PARENT = "FIELDBOOK_PARENT"
#: ``0``: no command line, folder, git commit, process or boot id is recorded.
CAPTURE = "FIELDBOOK_CAPTURE"
#: ``<run id>:console,system,…``: what a launcher records of that run, so that a process that joins it need not.
RECORDED = "FIELDBOOK_RECORDED"
#: Set for the process that captures beside a training, which captures nothing of itself.
COMPANION = "FIELDBOOK_COMPANION"
#: The file of NVIDIA's management library, where it is not in a usual place.
NVML = "FIELDBOOK_NVML"
#: Seconds between heartbeats; by default 60 on a network file system and none elsewhere.
HEARTBEAT = "FIELDBOOK_HEARTBEAT"

_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
_RUN_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"
_NETWORK = (
    r"nfs|cifs|smb|lustre|gpfs|beegfs|ceph|glusterfs|afs|9p|fuse\.(?!ext|ntfs|overlay)|panfs|orangefs|wekafs|virtiofs"
)


def home() -> str:
    """The folder of this machine's field book."""
    said = os.environ.get(HOME)
    if not said and os.environ.get("HOME") == "" and os.name == "posix":
        # Some schedulers leave HOME empty, and "~" is the root folder then. The agent looks in the same places.
        import pwd

        try:
            return os.path.join(pwd.getpwuid(os.getuid()).pw_dir, ".fieldbook")
        except KeyError:  # a container's user without a name
            return "/.fieldbook"
    return os.path.abspath(os.path.expanduser(said or "~/.fieldbook"))


def disabled() -> bool:
    """True when the environment switches recording off."""
    return os.environ.get(MODE, "").lower() in ("disabled", "off", "0")


def mint_id() -> str:
    """26 characters: 48 bits of time in ms, 80 random bits (the layout of a ULID)."""
    number = (int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    return "".join(_BASE32[(number >> shift) & 31] for shift in range(125, -1, -5))


def project_id(name: Any) -> str:
    """A project's id from its name, exactly as ``projectIdOf`` of core makes it."""
    if not isinstance(name, str):
        raise TypeError(f"project must be a string, not {type(name).__name__}")
    import re
    import unicodedata

    text = unicodedata.normalize("NFKC", name).lower().strip()
    text = "".join(c if c in "._-" or unicodedata.category(c)[0] in "LN" else "\0" for c in text)
    text = re.sub("\0+", "-", text)
    text = re.sub(r"-+\Z", "", re.sub(r"\A[-.]+", "", text))
    if not 1 <= len(text) <= 64 or len(text.encode("utf-8", "replace")) > 192:
        raise ValueError(f"project cannot be {name[:80]!r}: it needs 1 to 64 letters or digits")
    return text


def check_run_id(run_id: Any, argument: str = "run_id") -> str:
    """A run id that can be a file's name everywhere."""
    if not isinstance(run_id, str):
        raise TypeError(f"{argument} must be a string, not {type(run_id).__name__}")
    import re

    if not re.match(_RUN_ID, run_id):
        raise ValueError(
            f"{argument} cannot be {run_id[:80]!r}: use up to 64 letters, digits, '.', '_' or '-', starting with a letter or digit"
        )
    return run_id


def parent() -> tuple[int, str, str] | None:
    """Pid, writer and project of the process that passed its run on to this one."""
    pid, _, rest = os.environ.get(PARENT, "").partition(":")
    writer, _, project = rest.partition(":")
    return (int(pid), writer, project) if pid.isdigit() and writer and project else None


#: Runs of this process that its children may join, newest last, and what a launcher had set before the first.
_announced: list[tuple[str, str]] = []
_outer: dict[str, str | None] = {}


def announce(run_id: str, writer: str, project: str) -> None:
    """Tells the processes that this one will start which run they belong to: that of the latest ``init``."""
    if not _announced:
        _outer.update({name: os.environ.get(name) for name in (RUN_ID, PARENT)})
    _announced.append((run_id, f"{os.getpid()}:{writer}:{project}"))
    _speak()


def withdraw(run_id: str) -> None:
    """A run has ended: the one before it, or what the launcher said, holds again."""
    for index in range(len(_announced) - 1, -1, -1):
        if _announced[index][0] == run_id:
            del _announced[index]
            _speak()
            return


def _speak() -> None:
    said = dict(zip((RUN_ID, PARENT), _announced[-1])) if _announced else _outer
    for name, value in said.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def recorded(run_id: str) -> frozenset[str]:
    """Names of the captures (see :data:`fieldbook.capture.switches.SWITCHES`) that a launcher makes of this run already."""
    run, _, names = os.environ.get(RECORDED, "").partition(":")
    return frozenset(names.split(",")) if run == run_id else frozenset()


def preempts(number: int) -> bool:
    """Whether a signal is how a scheduler around this process announces the end: Slurm's and Kubernetes' SIGTERM,
    and the SIGUSR1 or SIGUSR2 that ``sbatch --signal`` sends ahead of it."""
    name = signal_name(number)
    if os.environ.get("SLURM_JOB_ID"):
        return name in ("SIGTERM", "SIGUSR1", "SIGUSR2")
    return name == "SIGTERM" and bool(os.environ.get("KUBERNETES_SERVICE_HOST"))


def signal_name(number: int) -> str:
    """``SIGTERM``; a signal without a name by its number."""
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def rank() -> tuple[int | None, int | None, int | None]:
    """Rank, local rank and world size, as the usual launchers say them."""
    return (
        _integer("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"),
        _integer("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"),
        _integer("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"),
    )


def shared_run_id(project: str) -> str | None:
    """The id on which all ranks of one launch agree without talking, or None when nothing tells launches apart."""
    _, _, world = rank()
    if world is None or world < 2:
        return None
    launch = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    if launch != "none":
        key = f"torchelastic {launch} {os.environ.get('MASTER_ADDR')} {os.environ.get('MASTER_PORT')}"
    elif os.environ.get("SLURM_JOB_ID"):
        key = f"slurm {os.environ['SLURM_JOB_ID']} {os.environ.get('SLURM_STEP_ID')} {os.environ.get('SLURM_CLUSTER_NAME')}"
    elif os.environ.get("LOCAL_WORLD_SIZE") == str(world) or os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == str(world):
        # All ranks are on this machine, started by one launcher.
        launcher = os.getppid()
        key = f"local {boot_id()} {launcher} {process_start(launcher)}"
    else:
        return None
    # Four checksums of the same text under different starts: an identifier, not a signature, and no hashlib import.
    data = f"{project} {key}".encode("utf-8", "replace")
    number = 0
    for salt in (b"a", b"b", b"c", b"d"):
        number = (number << 32) | zlib.crc32(data[::-1], zlib.crc32(salt + data + salt))
    return "ranks-" + "".join(_BASE32[(number >> shift) & 31] for shift in range(120, -1, -5))


def _integer(*names: str) -> int | None:
    for name in names:
        text = os.environ.get(name, "")
        if text.isdigit():
            return int(text)
    return None


def describe() -> dict[str, Any]:
    """What META says about the process and its surroundings."""
    ranks = rank()
    facts: dict[str, Any] = {
        "host": host(),
        "user": os.environ.get(USER) or _user(),
        "rank": ranks[0],
        "local_rank": ranks[1],
        "world_size": ranks[2],
        "python": ".".join(map(str, sys.version_info[:3])),
        "platform": sys.platform,
    }
    if os.environ.get(CAPTURE) == "0":
        return facts
    from .redaction import redact_argv

    folder = _try_cwd()
    return {
        **facts,
        "pid": os.getpid(),
        "pid_start": process_start(os.getpid()),
        "boot": boot_id(),
        "pid_ns": _pid_namespace(),
        "argv": redact_argv([str(argument)[:1000] for argument in getattr(sys, "argv", [])[:100]]),
        "cwd": folder,
        "git": git(folder),
    }


def host() -> str | None:
    """The machine's name, or what is to be recorded instead."""
    return os.environ.get(HOST) or _host()


def _host() -> str | None:
    try:
        return os.uname().nodename or None
    except AttributeError:
        return os.environ.get("COMPUTERNAME")


def _user() -> str | None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        if os.environ.get(name):
            return os.environ[name]
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError, OSError):
        return None


def _try_cwd() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _read(path: str, limit: int = 4096) -> str | None:
    try:
        with open(path, "rb") as file:
            return file.read(limit).decode("utf-8", "replace").strip()
    except OSError:
        return None


def boot_id() -> str | None:
    """Names this boot of the machine; a process that ran before it is dead."""
    return _read("/proc/sys/kernel/random/boot_id")


def process_start(pid: int) -> int | None:
    """Field 22 of ``/proc/<pid>/stat``, counted behind the last ``)``: a name may hold spaces and parentheses."""
    stat = _read(f"/proc/{pid}/stat")
    fields = stat.rpartition(")")[2].split() if stat else []
    return int(fields[19]) if len(fields) > 19 and fields[19].isdigit() else None


def _pid_namespace() -> int | None:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return None


def heartbeat_seconds(folder: str) -> float | None:
    """How often a writer should say that it lives, where no lock can be asked from another host."""
    given = os.environ.get(HEARTBEAT)
    if given:
        try:
            return max(0.05, float(given)) if float(given) > 0 else None
        except ValueError:
            return None
    mounts = _read("/proc/self/mountinfo", 1 << 20)
    best, kind = "", ""
    for line in (mounts or "").splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        if len(fields) < 5 or not right:
            continue
        point = fields[4].replace("\\040", " ")
        if len(point) >= len(best) and (folder + "/").startswith(point.rstrip("/") + "/"):
            best, kind = point, right.split()[0]
    import re

    return 60.0 if re.match(_NETWORK, kind) else None


def git(folder: str | None) -> dict[str, str | None] | None:
    """Commit and branch of the checkout around ``folder``, read from its files."""
    for _ in range(32):
        if folder is None:
            return None
        place = os.path.join(folder, ".git")
        if os.path.isfile(place):  # a worktree or submodule: "gitdir: <path>"
            text = _read(place) or ""
            return _git_head(os.path.join(folder, text[8:])) if text.startswith("gitdir: ") else None
        if os.path.isdir(place):
            return _git_head(place)
        above = os.path.dirname(folder)
        folder = above if above != folder else None
    return None


def _git_head(place: str) -> dict[str, str | None] | None:
    head = _read(os.path.join(place, "HEAD"))
    if not head:
        return None
    if not head.startswith("ref: "):
        return {"commit": head[:64], "branch": None}
    name = head[5:]
    common = _read(os.path.join(place, "commondir"))
    for folder in (place, os.path.join(place, common) if common else place):
        commit = _read(os.path.join(folder, name))
        if commit:
            return {"commit": commit[:64], "branch": name[11:] if name.startswith("refs/heads/") else name}
        for line in (_read(os.path.join(folder, "packed-refs"), 1 << 20) or "").splitlines():
            if line.endswith(" " + name):
                return {"commit": line[:40], "branch": name[11:] if name.startswith("refs/heads/") else name}
    return {"commit": None, "branch": name[11:] if name.startswith("refs/heads/") else name}
