"""``fieldbook run`` on a real terminal: the command has one as well, and cannot tell the difference."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fieldbook import journal
from launch_support import LAUNCHER, Terminal, console, environ, until
from support import Home, close


@pytest.fixture
def shell(home: Home, tmp_path: Path) -> Iterator[Terminal]:
    """An interactive shell, with job control and no start-up files."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    variables = {
        **environ(home),
        "PS1": "$ ",
        "FB": " ".join([*LAUNCHER, "--no-capture", "--capture", "console", "-p", "t"]),
        "TERM": "xterm",
    }
    terminal = Terminal([bash, "--norc", "--noprofile", "-i"], variables, tmp_path)
    terminal.says("$ ")
    yield terminal
    terminal.close()


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "script.py"
    path.write_text(text)
    return f"{sys.executable} -u {path}"


def begun(home: Home, runs: int) -> bool:
    """Whether so many journals are there, each with its header."""
    files = home.files()
    return len(files) == runs and all(path.stat().st_size > journal.HEADER_SIZE for path in files)


def test_it_is_a_terminal(shell: Terminal, home: Home, tmp_path: Path) -> None:
    """[RUN-2] With the size and settings of the user's, keys that are read one by one, and a console that is recorded. [RUN-8]"""
    ask = script(
        tmp_path,
        "import os, sys, termios, tty\n"
        "print([os.isatty(fd) for fd in (0, 1, 2)], os.get_terminal_size(), os.ctermid() and open('/dev/tty').isatty())\n"
        "for i in range(30): sys.stdout.write(f'\\r\\x1b[32m{i}\\x1b[0m'); sys.stdout.flush()\n"
        "print()\n"
        "print('line', input('name? '))\n"
        "before = termios.tcgetattr(0); tty.setraw(0); print('raw:', end='')\n"
        "key = os.read(0, 1); termios.tcsetattr(0, termios.TCSADRAIN, before); print(key)\n",
    )
    before = shell.settings()
    shell.type(f"$FB -- {ask}; echo code=$?\n")
    shell.says("[True, True, True] os.terminal_size(columns=100, lines=30) True")
    shell.says("name? ")
    shell.type("alice\n")
    shell.says("line alice")
    shell.says("raw:")
    shell.type("\x03")  # in raw mode a key like any other
    shell.says("b'\\x03'")
    shell.says("code=0")
    # The shell prints its prompt, and sets the terminal up for it, a moment later.
    until(lambda: shell.settings()[:4] == before[:4], "the settings of before")
    lines = console(home.only())[journal.TERMINAL].split("\n")
    assert "\x1b[32m29\x1b[0m" in lines
    assert not any("\x1b[32m3\x1b" in line for line in lines)
    assert "line alice" in lines


def test_ctrl_c(shell: Terminal, home: Home, tmp_path: Path) -> None:
    """[RUN-3] Once, and the run says how the command ended."""
    count = script(
        tmp_path,
        "import signal, time, sys\n"
        "got = []\n"
        "signal.signal(signal.SIGINT, lambda *_: got.append(1))\n"
        "print('re' + 'ady')\n"
        "while not got: time.sleep(0.01)\n"
        "time.sleep(0.3); sys.exit(40 + len(got))\n",
    )
    shell.type(f"$FB -- {count}; echo code=$?\n")
    shell.says("ready")
    shell.type("\x03")
    shell.says("code=41")
    end = close(home.only())
    assert end is not None
    assert (end["status"], end["exit_code"]) == ("failed", 41)


def test_ctrl_z_and_fg(shell: Terminal, tmp_path: Path) -> None:
    """[RUN-2] The job stops for its shell, the terminal is the shell's meanwhile, and everything goes on."""
    ask = script(tmp_path, "print('go ' + 'on'); print('heard', input())\n")
    shell.type(f"$FB -- {ask}; echo\n")
    shell.says("go on")
    shell.type("\x1a")
    shell.says("Stopped")
    shell.type("echo shell=$((40 + 2))\n")
    shell.says("shell=42")
    shell.type("fg\n")
    shell.type("words\n")
    shell.says("heard words")


def test_resize(shell: Terminal, tmp_path: Path) -> None:
    """[RUN-2] The command hears of it, with the new size."""
    watch = script(
        tmp_path,
        "import os, signal, time\n"
        "signal.signal(signal.SIGWINCH, lambda *_: print('now', os.get_terminal_size().columns))\n"
        "print('re' + 'ady')\n"
        "end = time.monotonic() + 20\n"
        "while os.get_terminal_size().columns == 100 and time.monotonic() < end: time.sleep(0.01)\n"
        "time.sleep(0.1)\n",
    )
    shell.type(f"$FB -- {watch}; echo over=$?\n")
    shell.says("ready")
    shell.resize(20, 71)
    shell.says("now 71")
    shell.says("over=0")


def test_a_pipe_behind_it(shell: Terminal, home: Home, tmp_path: Path) -> None:
    """[RUN-2] Only stdout is a pipe then; a command that wants the terminal's keys gets them all the same."""
    ask = script(tmp_path, "import os; print([os.isatty(fd) for fd in (0, 1, 2)]); print('heard', input())\n")
    shell.type(f"$FB -- {ask} 2>&1 | cat; echo codes=${{PIPESTATUS[*]}}\n")
    shell.says("[True, False, False]")
    shell.type("words\n")
    shell.says("heard words")
    shell.says("codes=0 0")
    shell.type(f"$FB -- {ask} 2>&1 | cat; echo\n")
    until(lambda: begun(home, 2) and "False" in str(console(home.journals()[-1])), "the second run")
    shell.type("\x03")
    shell.says("KeyboardInterrupt")


def test_a_terminal_of_no_session_of_ours(shell: Terminal, tmp_path: Path) -> None:
    """[RUN-2] As a supervisor or a setsid hands it on: there are no jobs there, so what is typed is the command's."""
    if shutil.which("setsid") is None:
        pytest.skip("there is no setsid")
    # Not a second question: Python asks, and then begins to read, and hears no ctrl-C in between.
    ask = script(
        tmp_path, "import time\nprint('heard', input('name? '))\nprint('more? ')\nwhile True: time.sleep(0.01)\n"
    )
    shell.type(f"setsid -w $FB -- {ask}; echo code=$?\n")
    shell.says("name? ")
    shell.type("words\n")
    shell.says("heard words")
    shell.says("more? ")
    shell.type("\x03")
    shell.says("KeyboardInterrupt")
    shell.says("code=130")


def test_an_editor(shell: Terminal, tmp_path: Path) -> None:
    """[RUN-2] A full-screen program, where there is one."""
    if shutil.which("vi") is None:
        pytest.skip("there is no vi")
    target = tmp_path / "text"
    shell.type(f"$FB -- vi -u NONE {target}; echo code=$?\n")
    shell.says("text")
    shell.type("ihello\x1b:wq\n")
    shell.says("code=0")
    assert target.read_text() == "hello\n"


def test_kill_9_gives_the_terminal_back(shell: Terminal, home: Home, tmp_path: Path) -> None:
    """[RUN-10] As it was, and the command goes on on it."""
    gate = tmp_path / "gate"
    wait = script(
        tmp_path,
        f"import os, time\nprint('launcher', os.environ['FIELDBOOK_PARENT'].split(':')[0], 'x')\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\nprint('still ' + 'here')\n",
    )
    shell.type(f"$FB -- {wait}\n")
    said = shell.says(" x")
    until(lambda: begun(home, 1), "the journal")
    os.kill(int(said.rpartition("launcher ")[2].split()[0]), 9)
    shell.says("the recording was killed")
    shell.type("echo shell=$((40 + 2))\n")
    shell.says("shell=42")
    gate.touch()
    shell.says("still here")
    assert close(home.only()) is None
