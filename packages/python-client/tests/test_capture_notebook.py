"""Notebooks: the cells in order, the file, and how a kernel's run ends."""

from __future__ import annotations

import http.server
import json
import os
import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest

from capture_support import Captured, environment, until
from fieldbook import journal
from fieldbook.capture import jupyter
from fieldbook.capture.notebook import script
from support import Home, close


def test_a_script_that_can_be_compared() -> None:
    """[CAP-13]"""
    cells = [
        "",
        "import os\nx = 1",
        "%matplotlib inline\n!pip install x \\\n  y\nx = 2",
        "",
        "%%bash\necho hello\nx = 3",
        "x?\nprint('%d' % x)\n# %done",
        "text = '''\n%not a magic but commented all the same\n'''",
    ]
    assert script(cells) == (
        "# %% [1]\nimport os\nx = 1\n"
        "\n# %% [2]\n# %matplotlib inline\n# !pip install x \\\n#   y\nx = 2\n"
        "\n# %% [4]\n# %%bash\n# echo hello\n# x = 3\n"
        "\n# %% [5]\n# x?\nprint('%d' % x)\n# %done\n"
        "\n# %% [6]\ntext = '''\n# %not a magic but commented all the same\n'''\n"
    )
    compile(script(cells), "notebook.py", "exec")


def notebook(*cells: str) -> dict[str, Any]:
    return {
        "cells": [
            {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": cell, "outputs": [], "execution_count": None}
            for n, cell in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel of this very Python, whatever is installed on the machine."""
    import sys

    folder = tmp_path / "jupyter" / "kernels" / "python3"
    folder.mkdir(parents=True)
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3",
        "language": "python",
    }
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))


def execute(home: Home, folder: Path, name: str, *cells: str, **more: str) -> Any:
    """Runs the cells as Jupyter does, in a kernel of its own which is shut down at the end; returns the executed notebook."""
    import nbformat
    from nbclient import NotebookClient

    book = notebook(*cells)
    (folder / name).write_text(json.dumps(book))
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(
        environment(home, JPY_SESSION_NAME=str(folder / name), PYDEVD_DISABLE_FILE_VALIDATION="1", **more)
    )
    try:
        client = NotebookClient(
            nbformat.from_dict(book),
            timeout=60,
            kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
            allow_errors=True,
        )
        return client.execute()
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.usefixtures("kernels")
def test_a_real_notebook(home: Home, tmp_path: Path) -> None:
    """[CAP-13]"""
    token = "hf_" + "Aa1" * 12
    done = execute(
        home,
        tmp_path,
        "train.ipynb",
        "import fieldbook\nrun = fieldbook.init('p')",
        f"%time x = 1\nhub = '{token}'\nprint('printed in a cell')",
        "1 / 0",
        "run.log({'a': 1})\nx",
        "run.finish()",
    )
    assert "ZeroDivisionError" in json.dumps(done.cells[2].outputs)
    assert done.cells[1].outputs[-1]["text"].endswith("printed in a cell\n")
    found = Captured(home)
    ended = close(found.training)
    assert ended is not None
    assert ended["status"] == "finished", "an error in a cell does not end the run"
    text = found.files()["source/notebook.py"].decode()
    assert text.startswith(
        "# %% [1]\nimport fieldbook\nrun = fieldbook.init('p')\n\n# %% [2]\n# %time x = 1\nhub = '[redacted]'\n"
    )
    assert text.endswith("# %% [5]\nrun.finish()\n")
    assert found.companion
    assert json.loads(found.files()["source/notebook.ipynb"])["cells"][2]["source"] == "1 / 0"
    assert "printed in a cell" in found.console()
    (row,) = [row for row in found.companion.of(journal.FILE) if row["path"] == "source/notebook.ipynb"]
    assert (row["name"], row["kind"]) == ("train.ipynb", "notebook")


@pytest.mark.usefixtures("kernels")
def test_the_key_of_a_kernel_stays_out(home: Home, tmp_path: Path) -> None:
    """[CAP-17] The command line of a kernel names its connection file. With `notebook` off nothing says it is a kernel but that."""
    book = execute(
        home,
        tmp_path,
        "train.ipynb",
        "import fieldbook, ipykernel.connect, json\nfile = ipykernel.connect.get_connection_file()",
        "run = fieldbook.init('p', capture='-notebook')\nrun.finish()",
        "print(file, json.load(open(file))['key'][:8])",
    )
    found = Captured(home)
    assert found.companion
    file, key = book.cells[2].outputs[0]["text"].split()
    assert file in found.sections()["command"]["argv"]
    assert not [path for path in [*found.files(), *found.attributes()] if path.startswith("config/")]
    for path in home.path.rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes(), path


@pytest.mark.usefixtures("kernels")
def test_the_end_of_the_kernel_ends_the_run(home: Home, tmp_path: Path) -> None:
    """[CAP-13]"""
    execute(home, tmp_path, "train.ipynb", "import fieldbook\nrun = fieldbook.init('p')", "run.log({'a': 1})")
    found = Captured(home)
    ended = until(lambda: close(found.training))
    assert ended["status"] == "finished"
    assert "[2]\nrun.log({'a': 1})" in found.files()["source/notebook.py"].decode()
    assert found.companion


@pytest.mark.usefixtures("kernels")
def test_a_cell_that_is_run_again_gives_another_run(home: Home, tmp_path: Path) -> None:
    """[CAP-13]"""
    cell = "with fieldbook.init('p') as run: run.log({'a': 1})"
    execute(home, tmp_path, "train.ipynb", "import fieldbook", cell, cell)
    trainings = Captured(home).journals(None)
    assert len(trainings) == 2
    assert [close(one)["status"] for one in trainings if close(one)] == ["finished", "finished"]  # type: ignore[index]


@pytest.mark.usefixtures("kernels")
def test_a_dirty_tree_is_told_below_a_cell(home: Home, tmp_path: Path) -> None:
    """[CAP-3] [CAP-13]"""
    from capture_support import project

    folder = project(tmp_path / "x", {"a.py": ""})
    done = execute(
        home,
        folder,
        "new.ipynb",
        "import fieldbook, time\nrun = fieldbook.init('p')",
        "from fieldbook.capture import session\nlink = session._sessions[id(run)].link\nend = time.monotonic() + 20\nwhile not link.notices and time.monotonic() < end: link.look(0.1)",
        "run.finish()",
    )
    assert "1 untracked file" in json.dumps([cell.outputs for cell in done.cells])


class Server(http.server.BaseHTTPRequestHandler):
    """A Jupyter server's list of sessions, for who has the token."""

    sessions: ClassVar[list[dict[str, Any]]] = []
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        allowed = self.headers.get("Authorization") == "token t0ken"
        body = json.dumps(self.sessions if allowed else []).encode()
        self.send_response(200 if allowed else 403)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Any:
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    Server.asked = []
    yield f"http://127.0.0.1:{found.server_address[1]}/base/"
    found.shutdown()
    thread.join()
    found.server_close()


def test_the_servers_of_this_machine_are_asked(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """[CAP-13]"""
    (tmp_path / "books").mkdir()
    (tmp_path / "books/a.ipynb").write_text("{}")
    Server.sessions = [
        {"kernel": {"id": "other"}, "path": "b.ipynb"},
        {"kernel": {"id": "k-1"}, "path": "books/a.ipynb"},
    ]
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # must not be used
    (runtime / "jpserver-1.json").write_text("{")
    (runtime / "jpserver-2.json").write_text(
        json.dumps({"url": "http://example.org:1/", "token": "x", "root_dir": str(tmp_path)})
    )
    try:
        foreign = http.server.ThreadingHTTPServer(("127.0.0.2", 0), Server)
        threading.Thread(target=foreign.serve_forever, daemon=True).start()
        url = f"http://127.0.0.2:{foreign.server_address[1]}/foreign/"
        (runtime / "jpserver-5.json").write_text(json.dumps({"url": url, "token": "t0ken", "root_dir": str(tmp_path)}))
    except OSError:
        pass  # a system with one loopback address
    (runtime / "jpserver-3.json").write_text(json.dumps({"url": server, "token": "wrong", "root_dir": str(tmp_path)}))
    assert jupyter.find({"kernel": "k-1"}) is None
    (runtime / "jpserver-4.json").write_text(json.dumps({"url": server, "token": "t0ken", "root_dir": str(tmp_path)}))
    assert jupyter.find({"kernel": "k-1"}) == str(tmp_path / "books/a.ipynb")
    assert jupyter.find({"kernel": "k-2"}) is None
    assert set(Server.asked) == {"/base/api/sessions"}
    assert jupyter.find({}) is None


def test_what_a_front_end_says_itself(tmp_path: Path) -> None:
    """[CAP-13]"""
    (tmp_path / "a.ipynb").write_text("{}")
    assert jupyter.find({"path": str(tmp_path / "a.ipynb")}) == str(tmp_path / "a.ipynb")
    assert jupyter.find({"path": "a.ipynb", "cwd": str(tmp_path)}) == str(tmp_path / "a.ipynb")
    assert jupyter.find({"path": "gone.ipynb", "cwd": str(tmp_path)}) is None
    assert jupyter.find({"path": str(tmp_path)}) is None
