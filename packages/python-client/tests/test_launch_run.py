"""``fieldbook run``: how a command starts, prints, and ends. Signals, terminals and schedulers have files of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fieldbook import journal
from launch_support import LAUNCHER, attributes, begin, console, environ, launch, until
from support import Home, close, meta


def test_exit_codes(home: Home) -> None:
    """[RUN-1] The exit code is the command's, as a shell says it, and the run ends as the command did. [RUN-6]"""
    for script, code, status, exit_code, number in (
        ("exit 0", 0, "finished", 0, None),
        ("exit 7", 7, "failed", 7, None),
        ("kill -KILL $$", 137, "failed", None, 9),
        ("kill -TERM $$", 143, "failed", None, 15),
    ):
        assert launch(home, "-p", "codes", "--", "sh", "-c", script).returncode == code
        end = close(home.journals()[-1])
        assert end is not None
        assert (end["status"], end["exit_code"], end["signal"]) == (status, exit_code, number)


def test_a_command_that_cannot_be_started(home: Home, tmp_path: Path) -> None:
    """[RUN-1] 127 without a program and 126 without permission, with a word why, and no run."""
    said = launch(home, "--", "no-such-program-anywhere")
    assert (said.returncode, said.stdout) == (127, "")
    assert "cannot run 'no-such-program-anywhere': No such file" in said.stderr
    assert launch(home, "--", str(tmp_path)).returncode == 126
    assert home.files() == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "there is no command to run"),
        (["-p", "x", "--"], "there is no command to run"),
        (["--nonsense", "--", "true"], "unknown option '--nonsense'"),
        (["--name"], "--name needs a value"),
        (["--grace", "soon", "--", "true"], "--grace must be a number of seconds"),
        (["--resume", "a/b", "--", "true"], "--resume cannot be 'a/b'"),
        (["--set", "x", "--", "true"], "--set needs PATH=VALUE"),
    ],
)
def test_mistakes_are_told_before_anything_runs(home: Home, words: list[str], reason: str) -> None:
    said = launch(home, *words)
    assert said.returncode == 2
    assert reason in said.stderr
    assert said.stdout == ""
    assert home.files() == []


def test_output_is_handed_on_unchanged(home: Home) -> None:
    """[RUN-2] Byte for byte, each stream its own, whatever the bytes are."""
    script = "import os; os.write(1, bytes(range(256)) * 999); os.write(2, b'\\r\\xff\\x00err\\n'); os.write(1, b'no newline')"
    process = subprocess.run(
        [*LAUNCHER, "--", sys.executable, "-c", script],
        env=environ(home),
        cwd=home.path.parent,
        capture_output=True,
        check=False,
    )
    assert process.stdout == bytes(range(256)) * 999 + b"no newline"
    assert process.stderr == b"\r\xff\x00err\n"


def test_output_comes_at_once(home: Home) -> None:
    """[RUN-2] A line is seen before the next one is printed."""
    process = begin(home, "--", "sh", "-c", "echo first; read line < /dev/stdin; sleep 60")
    assert process.stdout is not None
    assert process.stdout.readline() == "first\n"
    process.kill()
    process.communicate()


def test_console_is_recorded_folded(home: Home) -> None:
    """[RUN-8] Streams apart, carriage returns folded, colours kept, secrets not."""
    script = (
        "import sys\n"
        "for i in range(50): sys.stdout.write(f'\\r{i} of 50'); sys.stdout.flush()\n"
        "print(); print('\\x1b[31mred\\x1b[0m'); print('ä'); print('token ghp_' + 'a' * 36)\n"
        "print('warn', file=sys.stderr)\n"
    )
    assert launch(home, "--", sys.executable, "-c", script).returncode == 0
    said = console(home.only())
    assert said[journal.STDOUT].split("\n") == ["49 of 50", "\x1b[31mred\x1b[0m", "ä", "token [redacted]"]
    assert said[journal.STDERR] == "warn"


def test_what_the_run_says_of_itself(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "My Experiments"
    folder.mkdir()
    (folder / "train.sh").write_text("echo $1\n")
    options = ["-t", "a", "--tag=b", "-ta", "--name", "n", "--group", "g", "--notes", "why", "--set", "sys/x=3"]
    assert launch(home, *options, "--", "sh", "train.sh", "--lr", "0.1", cwd=folder).returncode == 0
    found = home.only()
    head = meta(found)
    assert (head["project"], head["project_id"]) == ("My Experiments", "my-experiments")
    assert (head["tags"], head["name"], head["group"], head["notes"]) == (["a", "b"], "n", "g", "why")
    assert head["argv"] == ["sh", "train.sh", "--lr", "0.1"]
    assert head["cwd"] == str(folder)
    assert attributes(found) == {"params/lr": 0.1, "sys/x": 3}


def test_the_project_is_named_by_the_repository(home: Home, tmp_path: Path) -> None:
    inner = tmp_path / "my-net" / "src"
    inner.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", str(tmp_path / "my-net")], check=True)
    assert launch(home, "--", "true", cwd=inner).returncode == 0
    assert meta(home.only())["project"] == "my-net"


def test_surroundings_are_captured(home: Home, tmp_path: Path) -> None:
    """[RUN-7] The launcher captures command, code, environment and system once, and of the command's Python the packages."""
    (tmp_path / "train.py").write_text("import time; time.sleep(1.2)\n")
    (tmp_path / "net.yaml").write_text("depth: 3\n")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    said = launch(home, "-p", "x", "--", sys.executable, "train.py", "--config", "net.yaml", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    found = home.only()
    sections = {data["section"]: data["data"] for data in found.of(journal.CAPTURE)}
    assert {"command", "git", "python", "machine", "packages"} <= set(sections)
    assert sections["command"]["argv"] == [sys.executable, "train.py", "--config", "net.yaml"]
    assert sections["command"]["entry"] == str(tmp_path / "train.py")
    assert "pytest" in sections["packages"]["packages"]
    files = {data["path"]: data for data in found.of(journal.FILE)}
    assert files["config/net.yaml"]["kind"] == "config"
    assert any(path.startswith("source/untracked/train.py") for path in files)
    metrics = {path for path, *_ in found.points()}
    assert {"sys/process/rss_bytes", "sys/machine/cpu_percent"} <= metrics


def test_captures_can_be_switched_off(home: Home) -> None:
    secret = "nobodys-business"
    said = launch(home, "--no-capture", "--", "sh", "-c", f"echo {secret}", "--", "--key", secret)
    assert (said.returncode, said.stdout) == (0, f"{secret}\n")
    (raw,) = [path.read_bytes() for path in home.files()]
    assert secret.encode() not in raw
    assert close(home.only()) is not None


@pytest.mark.parametrize("place", ["file", "missing"])
def test_a_home_that_cannot_be_written(home: Home, tmp_path: Path, place: str) -> None:
    """[RUN-1] The command runs, with its output and exit code, and one warning says that nothing is recorded."""
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    target = blocked if place == "file" else Path("/proc/nobody/home")
    said = launch(Home(target), "-p", "x", "--", "sh", "-c", "echo out; exit 5", cwd=tmp_path)
    assert (said.returncode, said.stdout) == (5, "out\n")
    assert said.stderr.count("cannot write to") == 1


def test_a_full_disk(home: Home) -> None:
    """[RUN-1] Where the journal may not grow the command does not notice."""
    limited = "import resource, os, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); os.execv(sys.argv[1], sys.argv[1:])"
    said = subprocess.run(
        [sys.executable, "-c", limited, *LAUNCHER, "--no-capture", "--capture", "console", "--", "seq", "20000"],
        env=environ(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 0
    assert said.stdout.split() == [str(number) for number in range(1, 20001)]
    assert "cannot write to" in said.stderr


def test_a_slow_disk_does_not_slow_the_command(home: Home, tmp_path: Path) -> None:
    """[RUN-8] While the recorder hangs the command prints on; what did not fit into the queue is left out with a mark."""
    script = tmp_path / "slow.py"
    script.write_text(
        "import sys, threading\n"
        "from fieldbook import launch_record, writer\n"
        "launch_record.QUEUE_BYTES = 100_000\n"
        "opened, gate = writer.Writer.open, threading.Event()\n"
        "def late(self):\n"
        "    gate.wait(30)\n"
        "    opened(self)\n"
        "writer.Writer.open = late\n"
        "finish = launch_record.Recorder.finish\n"
        "launch_record.Recorder.finish = lambda self, ended: (gate.set(), finish(self, ended))\n"
        "from fieldbook.launch import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    said = subprocess.run(
        [sys.executable, str(script), "-p", "x", "--", "seq", "200000"],
        env=environ(home), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (said.returncode, len(said.stdout.split())) == (0, 200_000)
    gaps = [data["text"] for data in home.only().of(journal.CONSOLE) if data["flags"] & journal.CONSOLE_GAP]
    assert len(gaps) == 1
    assert "the disk was slower than the output" in gaps[0]


def test_what_stays_in_the_background(home: Home, tmp_path: Path) -> None:
    """[RUN-4] It holds nobody up, lives on, and what it prints later is still shown."""
    gate = tmp_path / "gate"
    process = begin(
        home, "--", "sh", "-c", f"(while [ ! -e {gate} ]; do sleep 0.05; done; echo late) & echo early; exit 3"
    )
    assert process.wait(timeout=30) == 3
    end = close(home.only())
    assert end is not None
    assert end["exit_code"] == 3
    gate.touch()
    assert process.stdout is not None
    assert process.stdout.read() == "early\nlate\n"


def test_a_reader_that_stops_early(home: Home) -> None:
    """[RUN-2] The command hears of it as it would: by SIGPIPE."""
    said = subprocess.run(
        f"{' '.join(LAUNCHER)} -p x -- yes | head -n 2", shell=True, env=environ(home), cwd=home.path.parent, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert (said.stdout, said.stderr) == ("y\ny\n", "")
    end = until(lambda: home.journals() and close(home.only()), "the end of the run")
    assert end["signal"] == 13


def test_streams_that_are_closed(home: Home) -> None:
    """[RUN-1] Started without stdin and stderr, as some schedulers do."""
    said = subprocess.run(
        f"{' '.join(LAUNCHER)} -p x -- sh -c 'echo out; exit 4' <&- 2>&-", shell=True, env=environ(home), cwd=home.path.parent, stdout=subprocess.PIPE, timeout=60, check=False
    )  # fmt: skip
    assert (said.returncode, said.stdout) == (4, b"out\n")


def test_stdin_is_the_commands(home: Home) -> None:
    """[RUN-2] Input goes to the command, to the last byte."""
    said = subprocess.run(
        [*LAUNCHER, "--", "wc", "-c"],
        env=environ(home),
        cwd=home.path.parent,
        input=b"x" * 300_000,
        capture_output=True,
        check=False,
    )
    assert said.stdout.strip() == b"300000"


def test_kill_9_of_the_launcher(home: Home, tmp_path: Path) -> None:
    """[RUN-10] The command goes on, what it prints is shown, and the run has no end."""
    gate = tmp_path / "gate"
    process = begin(
        home, "--", "sh", "-c", f"echo one; while [ ! -e {gate} ]; do sleep 0.05; done; echo two; echo done > {gate}"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "one\n"
    until(lambda: home.journals() and console(home.only()).get(1) == "one", "the first line in the journal")
    process.kill()
    process.wait()
    gate.touch()
    assert process.stdout.read() == "two\n"
    assert gate.read_text() == "done\n"
    assert close(home.only()) is None
    assert "the recording was killed" in process.communicate()[1]


def test_a_python_child_joins_the_run(home: Home) -> None:
    """[RUN-7] As another writer of the run, without capturing again what the launcher captures."""
    script = "import fieldbook; run = fieldbook.init('joint'); print('hello'); run.log({'loss': 1.0})"
    said = launch(home, "-p", "joint", "--", sys.executable, "-c", script)
    assert said.returncode == 0, said.stderr
    writers = {found.writer: found for found in home.journals()}
    assert len(writers) == 2
    assert len({meta(found)["run"] for found in writers.values()}) == 1
    launcher = next(found for found in writers.values() if "loss" not in {path for path, *_ in found.points()})
    child = next(found for found in writers.values() if found is not launcher)
    assert meta(child)["parent"]["writer"] == launcher.writer
    assert console(launcher) == {journal.STDOUT: "hello"}
    assert console(child) == {}
    assert not {path for path, *_ in child.points() if path.startswith("sys/")}


def test_a_python_child_of_another_project_has_its_own_run(home: Home) -> None:
    """[RUN-7] With its own console, as nobody else records that run."""
    script = "import fieldbook; run = fieldbook.init('other'); print('hello')"
    assert launch(home, "-p", "mine", "--", sys.executable, "-c", script).returncode == 0
    other = [
        found for found in home.journals() if meta(found)["project"] == "other" and meta(found).get("role") is None
    ]
    assert [console(found) for found in other] == [{journal.STDOUT: "hello"}]


def test_nested_launchers(home: Home) -> None:
    """[RUN-7] One within another is a writer of the same run."""
    inner = [*LAUNCHER, "--", "echo", "inner"]
    assert launch(home, "-p", "nest", "--", *inner).stdout == "inner\n"
    found = home.journals()
    assert len({meta(one)["run"] for one in found}) == 1
    assert sorted(meta(one)["parent"] is None for one in found) == [False, True]


def test_resume_goes_on_with_the_run(home: Home) -> None:
    """[RUN-7] A new writer of the same run, in the project where the run is."""
    assert launch(home, "-p", "first", "--resume", "my-run", "--", "echo", "1").returncode == 0
    assert launch(home, "--resume", "my-run", "-t", "again", "--", "echo", "2").returncode == 0
    heads = [meta(found) for found in home.journals()]
    assert {(head["run"], head["project_id"]) for head in heads} == {("my-run", "first")}
    assert len({head["writer"] for head in heads}) == 2


def test_switched_off(home: Home) -> None:
    """Nothing is recorded, nothing is in the way."""
    script = (
        "import os, json; print(json.dumps([os.getppid(), sorted(n for n in os.environ if n.startswith('FIELDBOOK'))]))"
    )
    said = launch(home, "--", sys.executable, "-c", script, FIELDBOOK_MODE="disabled")
    parent, names = json.loads(said.stdout)
    assert parent == os.getpid()
    assert names == ["FIELDBOOK_HOME", "FIELDBOOK_MODE"]
    assert home.files() == []
