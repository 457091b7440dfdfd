"""The console: what is printed, as a terminal would have left it."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fieldbook
from capture_support import Captured, environment, run_in
from fieldbook import journal
from fieldbook.capture import console
from fieldbook.capture.console import Stream
from fieldbook.capture.console_folder import LINE, ConsoleFolder
from support import Home

CONSOLE = {"FIELDBOOK_CAPTURE": "console"}


def fold(*pieces: str) -> list[str]:
    folder = ConsoleFolder()
    lines: list[str] = []
    for piece in pieces:
        lines += folder.feed(piece)
    return lines + folder.close()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one\ntwo\n", ["one", "two"]),
        ("one\n\ntwo", ["one", "", "two"]),
        ("windows\r\nlines\r\n", ["windows", "lines"]),
        (" 1%\r50%\r100%\n", ["100%"]),
        ("100%\r 5%\n", [" 5%%"]),  # a terminal does not erase what is longer
        ("long text\rshort    \n", ["short    "]),
        ("long text\r\x1b[Kshort\n", ["short"]),
        ("long text\x1b[2K\rshort\n", ["short"]),
        ("abc\b\bX\n", ["aXc"]),
        ("\x1b[31mred\x1b[0m\n", ["\x1b[31mred\x1b[0m"]),
        ("\x1b[31mred\x1b[0m\r\x1b[32mgreen\x1b[0m\n", ["\x1b[32mgreen\x1b[0m"]),
        ("\x1b[?25lhidden cursor\x1b[?25h\n", ["hidden cursor"]),
        ("\x1b]0;a title\x07text\n", ["text"]),
        ("bell\x07\n", ["bell"]),
        ("10%\r20%\r30%\r", ["30%"]),
        ("", []),
    ],
)
def test_folding(text: str, lines: list[str]) -> None:
    """[CAP-11]"""
    assert fold(text) == lines
    assert fold(*text) == lines, "one character at a time"


def test_bars_of_several_lines_end_as_they_stood() -> None:
    """[CAP-11]"""
    drawn = "outer 0\n"
    for step in range(200):
        # As tqdm draws a bar at position 1: down, the inner bar, up again, the outer one over itself.
        drawn += f"\rinner {step}\x1b[A\router {step}\n"
    drawn += "\ndone\n"
    lines = fold(drawn)
    assert "outer 199" in lines
    assert "inner 199" in lines
    assert lines[-1] == "done"
    assert len(lines) < 10


def test_pieces_do_not_matter() -> None:
    """[CAP-11]"""
    dice = random.Random(4)
    parts = [
        "a",
        "word ",
        "\n",
        "\r",
        "\b",
        "\x1b[A",
        "\x1b[31m",
        "\x1b[K",
        "\x1b[2K",
        "\r\n",
        "\x1b[?25l",
        "ü→",
        "\x1b]0;t\x07",
        "\x1b[5G",
    ]
    for round_ in range(300):
        text = "".join(dice.choice(parts) for _ in range(dice.randint(1, 80)))
        pieces = []
        rest = text
        while rest:
            size = dice.randint(1, 7)
            pieces.append(rest[:size])
            rest = rest[size:]
        assert fold(*pieces) == fold(text), (round_, text)


def test_a_line_without_end_does_not_fill_memory() -> None:
    folder = ConsoleFolder()
    lines = folder.feed("x" * 1_000_000)
    assert max(map(len, lines)) <= LINE
    assert sum(map(len, lines + folder.close())) == 1_000_000


class Recorder:
    """What a stream records, under a clock that the test moves."""

    def __init__(self, **limits: int) -> None:
        self.now = 1000.0
        self.rows: list[tuple[str, int]] = []
        self.stream = Stream(1, lambda number, text, flags: self.rows.append((text, flags)), lambda: self.now, **limits)

    def lines(self, flag: int = 0) -> list[str]:
        return [line for text, flags in self.rows if flags == flag for line in text.split("\n")]


def test_a_bar_shows_itself_every_few_seconds() -> None:
    """[CAP-11]"""
    seen = Recorder()
    for step in range(1000):
        seen.stream.write(f"\rstep {step}")
        seen.now += 0.1
    shown = seen.lines(journal.CONSOLE_OPEN)
    assert 100 / console.OPEN_S - 2 <= len(shown) <= 100 / console.OPEN_S + 2
    assert seen.lines() == []
    seen.stream.write("\n")
    assert seen.lines() == ["step 999"]


def test_the_limit_keeps_the_beginning_some_a_minute_and_the_end() -> None:
    """[CAP-12]"""
    seen = Recorder(keep=1000, minute=300, tail=200)
    for number in range(600):
        seen.stream.write(f"line {number:04d}\n")  # 10 bytes
        seen.now += 1.0
    seen.stream.close()
    kept = seen.lines()
    assert kept[:99] == [f"line {number:04d}" for number in range(99)]
    assert kept[-20:] == [f"line {number:04d}" for number in range(580, 600)]
    notices = seen.lines(journal.CONSOLE_GAP)
    missing = sum(int(notice.split()[0]) for notice in notices)
    assert missing + len(kept) == 600
    assert 7 <= len(notices) <= 10
    # In each minute the budget's worth, at its beginning.
    assert 200 < len(kept) < 400
    assert kept == sorted(kept)
    places = [index for index, (_, flags) in enumerate(seen.rows) if flags == journal.CONSOLE_GAP]
    assert places[0] > 1


def test_a_minute_is_one_piece() -> None:
    """[CAP-12]"""
    seen = Recorder(keep=10, minute=100, tail=20)
    for line in ("x" * 50, "y" * 60, "short", "z" * 5):
        seen.stream.write(line + "\n")
    assert seen.lines() == ["x" * 50]
    seen.now += console.MINUTE_S
    seen.stream.write("next minute\n")
    seen.stream.close()
    assert seen.lines() == ["x" * 50, "next minute"]
    assert [notice.split(":")[0] for notice in seen.lines(journal.CONSOLE_GAP)] == [
        "3 lines (73 bytes) were left out here"
    ]


def test_printing_while_printing(monkeypatch: pytest.MonkeyPatch) -> None:
    """[CAP-11] Our own warning, or a signal handler's print, comes after the line that it interrupted."""
    rows: list[str] = []
    asked: list[int] = []

    class Run:
        def _console(self, number: int, text: str, flags: int) -> None:
            if not asked:
                asked.append(number)
                both.write(journal.STDERR, "nested\n")
            rows.append(text)

    both = console.Console(Run())  # type: ignore[arg-type]
    both.write(journal.STDERR, "first\n")
    assert rows == ["first", "nested"]


def test_what_is_large_becomes_several_records() -> None:
    seen = Recorder()
    seen.stream.write("".join(f"{number}\n" for number in range(100_000)))
    assert seen.lines() == [str(number) for number in range(100_000)]
    assert max(len(text) for text, _ in seen.rows) <= 64 * 1024


def test_a_private_key_line_by_line() -> None:
    """[CAP-14]"""
    seen = Recorder()
    for line in (
        "before",
        "-----BEGIN RSA PRIVATE KEY-----",
        "MIIEowIBAAKCAQEA7",
        "bodybodybody",
        "-----END RSA PRIVATE KEY-----",
        "after",
    ):
        seen.stream.write(line + "\n")
    assert seen.lines() == ["before", "[redacted]", "[redacted]", "[redacted]", "[redacted]", "after"]


SCRIPT = """
import logging, sys
handler = logging.StreamHandler()          # takes sys.stderr before the run begins
before = (sys.stdout, sys.stdout.fileno(), sys.stdout.isatty(), sys.stdout.encoding, sys.stdout.buffer)
import fieldbook
run = fieldbook.init("p")
assert (sys.stdout, sys.stdout.fileno(), sys.stdout.isatty(), sys.stdout.encoding, sys.stdout.buffer) == before
assert print("a", 1, sep="-") is None
assert sys.stdout.write("four\\n") == 5
sys.stdout.writelines(["x\\n", "y\\n"])
logging.getLogger().addHandler(handler)
logging.warning("of logging")
print("to stderr", file=sys.stderr)
print("ü → 🎈 \\udcff".encode("utf-8", "replace").decode())
for part in range(3): print(f"\\r{part}", end="", flush=True)
print()
sys.stdout.write("without an end")
run.finish()
assert "write" not in vars(sys.stdout) and "flush" not in vars(sys.stdout)
print(" and after")
"""


def test_everything_printed_is_there_and_on_the_terminal(home: Home, tmp_path: Path) -> None:
    """[CAP-11]"""
    done = run_in(tmp_path, home, "-c", SCRIPT, **CONSOLE)
    assert done.returncode == 0, done.stderr
    found = Captured(home)
    assert found.console() == ["a-1", "four", "x", "y", "ü → 🎈 ?", "2", "without an end"]
    assert found.console(journal.STDERR) == ["of logging", "to stderr"]
    assert done.stdout.endswith("without an end and after\n")
    assert "\n\n0\n1\n2\n" in done.stdout  # \r is read as \n here
    assert done.stderr == "of logging\nto stderr\n"


def test_trouble_of_the_stream_is_the_printers_own(home: Home, tmp_path: Path) -> None:
    """[CAP-11]"""
    script = """
import io, sys, fieldbook
run = fieldbook.init("p")
for wrong in (7, b"bytes", None):
    try: sys.stdout.write(wrong)
    except TypeError: print("TypeError")
try: sys.stdout.write("\\udcff")
except UnicodeEncodeError: print("UnicodeEncodeError")
sys.stdout.close()
try: print("closed")
except ValueError: sys.stderr.write("ValueError\\n")
"""
    done = run_in(tmp_path, home, "-c", script, PYTHONIOENCODING="utf-8:strict", **CONSOLE)
    assert (done.returncode, done.stderr) == (0, "ValueError\n")
    assert Captured(home).console() == ["TypeError", "TypeError", "TypeError", "UnicodeEncodeError"]


def test_trouble_of_ours_reaches_nobody(home: Home, tmp_path: Path) -> None:
    """[CAP-11]"""
    script = """
import sys, fieldbook
from fieldbook.capture import console
run = fieldbook.init("p")
def fail(*_): raise RuntimeError("ours")
console.Stream.write = fail
print("hello")
run.finish()
"""
    done = run_in(tmp_path, home, "-c", script, **CONSOLE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


class Plain:
    """A stream that is not of the io module."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


class Slotted:
    __slots__ = ("text",)

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("make", [io.StringIO, Plain, Slotted, lambda: None])
def test_streams_of_other_kinds(home: Home, monkeypatch: pytest.MonkeyPatch, make: Callable[[], Any]) -> None:
    """[CAP-11]"""
    monkeypatch.setenv("FIELDBOOK_CAPTURE", "console")
    stream = make()
    monkeypatch.setattr(sys, "stdout", stream)
    with fieldbook.init("p"):
        print("hello")
    text = stream.getvalue() if isinstance(stream, io.StringIO) else getattr(stream, "text", "hello\n")
    assert text == "hello\n"
    if isinstance(stream, (io.StringIO, Plain)):
        assert Captured(home).console() == ["hello"]
        assert "write" not in vars(stream)


def test_under_pytest_and_redirection(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """[CAP-11]"""
    monkeypatch.setenv("FIELDBOOK_CAPTURE", "console")
    inner = io.StringIO()
    with fieldbook.init("p"):
        print("one")
        with contextlib.redirect_stdout(inner):
            print("elsewhere")
        logging.getLogger("x").warning("three")
    assert capsys.readouterr().out == "one\n"
    assert inner.getvalue() == "elsewhere\n"
    assert Captured(home).console() == ["one"]


def test_runs_of_one_process_have_their_own(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """[CAP-11]"""
    monkeypatch.setenv("FIELDBOOK_CAPTURE", "console")
    outer = fieldbook.init("p", run_id="outer")
    print("one")
    with fieldbook.init("p", run_id="inner"):
        print("two")
    print("three")
    outer.finish()
    printed = {one.records[0].data["run"]: [row["text"] for row in one.of(journal.CONSOLE)] for one in home.journals()}
    assert printed == {"outer": ["one", "two", "three"], "inner": ["two"]}


def test_threads_mix_lines_at_worst(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDBOOK_CAPTURE", "console")
    with fieldbook.init("p"):

        def work(name: str) -> None:
            for number in range(300):
                sys.stdout.write(f"{name} {number}\n")

        threads = [threading.Thread(target=work, args=(f"t{index}",)) for index in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = Captured(home).console()
    for index in range(6):
        assert [line for line in lines if line.startswith(f"t{index} ")] == [
            f"t{index} {number}" for number in range(300)
        ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_children(home: Home, tmp_path: Path) -> None:
    """[CAP-11]"""
    script = """
import os, fieldbook
run = fieldbook.init("p")
print("parent", flush=True)
if os.fork() == 0:
    print("of a child that only prints", flush=True)
    os._exit(0)
os.wait()
if os.fork() == 0:
    run.log({"x": 1})
    print("of a child that logs", flush=True)
    run.finish()
    os._exit(0)
os.wait()
print("parent again", flush=True)
"""
    done = run_in(tmp_path, home, "-c", script, **CONSOLE)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == [
        "of a child that logs",
        "of a child that only prints",
        "parent",
        "parent again",
    ]
    printed = {
        one.records[0].data["forked"]: [row["text"] for row in one.of(journal.CONSOLE)] for one in home.journals()
    }
    assert printed == {False: ["parent", "parent again"], True: ["of a child that logs"]}


def test_a_signal_handler_prints_inside_a_print(home: Home, tmp_path: Path) -> None:
    """[CAP-11]"""
    script = """
import signal, sys, time, fieldbook
run = fieldbook.init("p")
calls = []
def handler(*_):
    calls.append(1)
    sys.stderr.write("signal\\n")
    signal.setitimer(signal.ITIMER_REAL, 0.001)  # not sooner: Python refuses a handler inside its own write
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.001)
for number in range(20000): sys.stdout.write(f"{number}\\n")
signal.setitimer(signal.ITIMER_REAL, 0)
run["signals"] = len(calls)
"""
    done = run_in(tmp_path, home, "-c", script, **CONSOLE)
    assert done.returncode == 0, done.stderr[-2000:]
    found = Captured(home)
    # A disk that stalls again and again loses records, and says how many and that it does.
    lost = sum(row["records"] for row in found.training.of(journal.GAP))
    printed = found.console()
    assert printed == sorted(set(printed), key=int)
    assert len(printed) + lost >= 20000
    signals = [line for line in found.console(journal.STDERR) if not line.startswith("fieldbook: ")]
    assert set(signals) == {"signal"}
    assert len(signals) + lost >= found.attributes()["signals"] > 3


def test_killed_in_the_middle(home: Home, tmp_path: Path) -> None:
    """[CAP-11] What was printed before ``kill -9`` is there, but for the write that it hit."""
    script = "import fieldbook, sys\nrun = fieldbook.init('p')\nn = 0\nwhile True:\n    print(n, flush=True); n += 1\n"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment(home, **CONSOLE),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for _ in range(500):
        process.stdout.readline()
    process.kill()
    process.wait()
    lines = Captured(home).console()
    assert lines[:499] == [str(number) for number in range(499)]


def test_a_print_costs_microseconds(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDBOOK_CAPTURE", "console")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with fieldbook.init("p"):
        rounds = []
        for _ in range(20):
            begun = time.perf_counter()
            for step in range(200):
                sys.stdout.write(f"epoch 3 step {step}: loss=0.1234 acc=0.98\n")
            rounds.append((time.perf_counter() - begun) / 200)
    assert min(rounds) < 200e-6
