"""Signals on their way to a command, and the words that schedulers have for the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from fieldbook import journal
from launch_support import LAUNCHER, begin, environ, launch, until
from support import Home, close, meta, run_script

#: Counts the signals that it gets, says so, and ends with how many there were once it is told to.
COUNTER = """
import os, signal, sys, time
got = []
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), lambda number, frame: (got.append(number), os.write(1, f"{signal.Signals(number).name}\\n".encode())))
os.write(1, b"ready\\n")  # print is not reentrant: the signal may come before it is over
end = time.monotonic() + 30
while not got and time.monotonic() < end: time.sleep(0.01)
time.sleep(0.3)  # a second one would come now
sys.exit(len(got))
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"])
@pytest.mark.parametrize("whole_group", [False, True])
def test_each_signal_arrives_once(home: Home, name: str, whole_group: bool) -> None:
    """[RUN-3] Sent to us alone, or to our whole process group."""
    process = begin(home, "--no-capture", "--", sys.executable, "-c", COUNTER, name)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    number = getattr(signal, name)
    (os.killpg if whole_group else os.kill)(process.pid, number)
    out, _ = process.communicate(timeout=30)
    assert out == f"{name}\n"
    assert process.returncode == 1


def test_all_processes_of_the_command_hear_it(home: Home) -> None:
    """[RUN-3] A shell does not pass signals on; its process group is asked."""
    process = begin(home, "--no-capture", "--", "sh", "-c", f"{sys.executable} -c '{COUNTER}' SIGINT; exit $?")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0] == "SIGINT\n"


def test_ignored_signals_stay_ignored(home: Home) -> None:
    """[RUN-3] Under nohup the command does not hear of the terminal's end."""
    script = "import signal; print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN, signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN)"
    said = subprocess.run(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *LAUNCHER, "--no-capture", "--", sys.executable, "-S", "-c", script],
        env=environ(home), cwd=home.path.parent, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    # Python itself ignores SIGPIPE; what counts is that SIGHUP came ignored.
    assert said.stdout.split()[0] == "True"
    plain = launch(
        home, "--no-capture", "--", "sh", "-c", "grep SigIgn /proc/self/status; grep SigBlk /proc/self/status"
    )
    assert [int(line.split()[1], 16) for line in plain.stdout.splitlines()] == [0, 0]


@pytest.mark.parametrize(("words", "number"), [(["--grace", "0.3"], signal.SIGTERM), (["--grace=0.3"], signal.SIGINT)])
def test_after_the_grace_comes_sigkill(home: Home, words: list[str], number: int) -> None:
    """[RUN-3] For a command that does not end."""
    process = begin(
        home, "--no-capture", *words, "--", "sh", "-c", "trap '' TERM INT; echo ready; while :; do sleep 0.05; done"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.wait(timeout=30) == 137
    end = close(home.only())
    assert end is not None
    assert (end["status"], end["signal"]) == ("failed", 9)


SLURM = {"SLURM_JOB_ID": "77"}


@pytest.mark.parametrize(
    ("name", "script", "variables", "status"),
    [
        ("SIGTERM", "echo ready; sleep 30", {}, "failed"),
        ("SIGTERM", "echo ready; sleep 30", SLURM, "preempted"),
        ("SIGTERM", "echo ready; sleep 30", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "preempted"),
        ("SIGTERM", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done", SLURM, "preempted"),
        ("SIGUSR1", "trap 'exit 0' USR1; echo ready; while :; do sleep 0.05; done", SLURM, "finished"),
        ("SIGUSR1", "trap 'exit 5' USR1; echo ready; while :; do sleep 0.05; done", SLURM, "preempted"),
        ("SIGUSR2", "echo ready; sleep 30", SLURM, "preempted"),
        ("SIGUSR1", "echo ready; sleep 30", {}, "failed"),
    ],
)
def test_preemption(home: Home, name: str, script: str, variables: dict[str, str], status: str) -> None:
    """[RUN-6] What a scheduler announces is noted when it is announced, and told from an ordinary end."""
    process = begin(home, "--no-capture", "-p", "x", "--", "sh", "-c", script, **variables)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, name))
    process.wait(timeout=30)
    found = home.only()
    end = close(found)
    assert end is not None
    assert end["status"] == status
    notes = [(data["status"], data["signal"]) for data in found.of(journal.STATUS)]
    assert notes == ([("preempted", int(getattr(signal, name)))] if variables else [])


def test_a_requeued_job_goes_on_with_its_run(home: Home) -> None:
    """[RUN-7] The same command of the same job is the same run after a requeue; another one of the job is another run."""

    def ids(count: int, **variables: str) -> list[str]:
        before = set(home.files())
        for _ in range(count):
            assert launch(home, "--no-capture", "-p", "x", "--", "true", **variables).returncode == 0
        return sorted({meta(found)["run"] for file, found in zip(home.files(), home.journals()) if file not in before})

    first = ids(2, **SLURM)
    assert len(first) == 2
    assert ids(2, **SLURM, SLURM_RESTART_COUNT="1") == first
    assert ids(1, SLURM_JOB_ID="78") != first[:1]


IN_PROCESS = """
import os, signal, sys, time
import fieldbook
{before}
run = fieldbook.init("x")
{after}
run.log({{"loss": 1.0}})
os.kill(os.getpid(), signal.{name})
time.sleep(0.2)
run.log({{"loss": 0.5}})
{last}
"""


@pytest.mark.parametrize(
    ("name", "before", "after", "last", "code", "status"),
    [
        # Nobody handles it: the process dies of it, as without us.
        ("SIGTERM", "", "", "", -15, "preempted"),
        ("SIGUSR1", "", "", "", -10, "preempted"),
        # The script's own handlers are called and found, wherever they were set.
        ("SIGTERM", "signal.signal(signal.SIGTERM, h)", "", "assert got", 0, "preempted"),
        (
            "SIGTERM",
            "",
            "signal.signal(signal.SIGTERM, h)",
            "assert got and signal.getsignal(signal.SIGTERM) is h",
            0,
            "preempted",
        ),
        ("SIGUSR1", "", "signal.signal(signal.SIGUSR1, h)", "assert got", 0, "finished"),
        ("SIGUSR1", "signal.signal(signal.SIGUSR1, h)", "", "assert got; sys.exit(3)", 3, "preempted"),
        ("SIGUSR1", "", "signal.signal(signal.SIGUSR1, signal.SIG_IGN)", "", 0, "finished"),
    ],
)
def test_preemption_in_process(
    home: Home, name: str, before: str, after: str, last: str, code: int, status: str
) -> None:
    """[RUN-9] A script that imports us hears nothing of it, and its run says what a scheduler announced."""
    handler = "got = []\ndef h(number, frame): got.append(number)\n"
    script = IN_PROCESS.format(name=name, before=handler + before, after=after, last=last)
    result, _, err = run_script(script, home, **SLURM)
    assert (result, err) == (code, "")
    found = home.only()
    end = close(found)
    assert end is not None
    assert end["status"] == status
    noted = [data["signal"] for data in found.of(journal.STATUS)]
    assert noted == ([] if "SIG_IGN" in after else [int(getattr(signal, name))])
    assert len(list(found.points())) == (2 if code >= 0 else 1)


def test_without_a_scheduler_nothing_is_touched(home: Home) -> None:
    """[RUN-9] signal.signal is the interpreter's own."""
    script = "import signal, fieldbook; before = signal.signal; fieldbook.init('x'); assert signal.signal is before"
    assert run_script(script, home)[0] == 0


def test_a_forked_child_is_itself_again(home: Home) -> None:
    """[RUN-9] It dies of the signal as if we were not there, and writes nothing of its parent's run."""
    script = (
        "import fieldbook, os, signal, time\n"
        "run = fieldbook.init('x')\n"
        "here, there = os.pipe()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n    os.write(there, b'x'); time.sleep(30)\n"
        "os.read(here, 1)\n"
        "os.kill(pid, signal.SIGUSR1)\n"
        "assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGUSR1\n"
    )
    assert run_script(script, home, **SLURM)[0] == 0
    assert home.only().of(journal.STATUS) == []


def test_the_keeper_is_killed(home: Home) -> None:
    """[RUN-1] The command goes on and is shown; nobody can say then how it ended, and that is said."""
    process = begin(home, "--no-capture", "--", "sh", "-c", "echo $PPID; sleep 0.5; echo more")
    assert process.stdout is not None
    os.kill(int(process.stdout.readline()), signal.SIGKILL)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, "more\n")
    assert "keeper was killed" in err
    until(lambda: home.journals() and close(home.only()), "the end of the run")
