"""Source files that a commit does not hold."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

import pytest

from capture_support import Captured, environment, git, project, run_in, write
from fieldbook.capture import source
from fieldbook.capture.source import Budget, imported_files, is_local, is_source, relative_to, roots
from fieldbook.secret_files import is_secret_file
from support import SOURCE, Home

TRAIN = """
import fieldbook
import helper
from package import inner
from package.deep.deeper import thing
with fieldbook.init("p") as run:
    import late
    run.log({"a": 1})
"""
FILES = {
    "train.py": TRAIN,
    "helper.py": "import json, os\n",
    "late.py": "",
    "unused.py": "",
    "package/__init__.py": "",
    "package/inner.py": "from . import sibling\nfrom .deep import other\n",
    "package/sibling.py": "",
    "package/deep/__init__.py": "",
    "package/deep/other.py": "",
    "package/deep/deeper.py": "thing = 1\n",
    "data.csv": "1,2\n",
}
USED = {f"source/files/{name}" for name in FILES if name not in ("unused.py", "data.csv")}


def kept(home: Home) -> set[str]:
    return {path for path in Captured(home).files() if path.startswith("source/")}


def test_outside_of_git_the_entry_and_its_modules(home: Home, tmp_path: Path) -> None:
    """[CAP-4]"""
    write(tmp_path / "x", FILES)
    done = run_in(tmp_path / "x", home, "train.py")
    assert (done.returncode, done.stderr) == (0, "")
    found = Captured(home)
    assert found.companion
    assert kept(home) == USED
    assert found.files()["source/files/train.py"] == TRAIN.encode()
    assert "git" not in found.sections()
    assert found.sections()["code"]["entry"] == "train.py"


def test_in_a_clean_checkout_only_what_git_ignores(home: Home, tmp_path: Path) -> None:
    """[CAP-4]"""
    folder = project(tmp_path / "x", {**FILES, ".gitignore": "helper.py\n"})
    done = run_in(folder, home, "train.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert Captured(home).companion
    assert kept(home) == {"source/files/helper.py"}


def test_in_a_dirty_checkout_everything_that_runs(home: Home, tmp_path: Path) -> None:
    """[CAP-4]"""
    folder = project(tmp_path / "x", {**FILES, "package/deep/late_import.py": ""})
    (folder / "helper.py").write_text("changed = 1\n")
    (folder / "fresh.py").write_text("fresh = 1\n")
    done = run_in(folder, home, "train.py")
    assert done.returncode == 0
    assert Captured(home).companion
    assert kept(home) == {*USED, "source/diff.patch", "source/untracked/fresh.py"}


def test_modules_are_named_from_the_root_of_the_checkout(home: Home, tmp_path: Path) -> None:
    """[CAP-4]"""
    folder = project(
        tmp_path / "x",
        {
            "src/lib/__init__.py": "",
            "scripts/train.py": TRAIN.split("import helper", maxsplit=1)[0] + "import lib\nfieldbook.init('p')\n",
        },
    )
    (folder / "src/lib/__init__.py").write_text("x = 1\n")
    done = run_in(folder / "scripts", home, "train.py", PYTHONPATH=os.pathsep.join([str(SOURCE), str(folder / "src")]))
    assert done.returncode == 0, done.stderr
    assert Captured(home).companion
    assert {"source/files/scripts/train.py", "source/files/src/lib/__init__.py"} <= kept(home)


def test_what_is_installed_is_not_local(tmp_path: Path) -> None:
    """[CAP-4]"""
    local = [str(tmp_path)]
    write(tmp_path, {"a.py": "", ".venv/lib/python3/site-packages/b.py": "", "node_modules/c.py": "", "lib/d.py": ""})
    assert is_local(str(tmp_path / "a.py"), local)
    assert is_local(str(tmp_path / "lib/d.py"), local)
    assert not is_local(str(tmp_path / ".venv/lib/python3/site-packages/b.py"), local)
    assert not is_local(str(tmp_path / "node_modules/c.py"), local)
    assert not is_local(os.__file__, ["/"])
    assert not is_local(source.__file__, ["/"])


def test_a_virtual_environment_of_any_name_within_the_project(home: Home, tmp_path: Path) -> None:
    """[CAP-4]"""
    folder = tmp_path / "x"
    write(folder, {"train.py": "import own, installed, fieldbook\nfieldbook.init('p')\n", "own.py": ""})
    venv.create(folder / "myenv", with_pip=False, symlinks=True)
    (site,) = (folder / "myenv/lib").glob("*/site-packages")
    (site / "installed.py").write_text("")
    done = subprocess.run(
        [str(folder / "myenv/bin/python"), "train.py"],
        cwd=folder,
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = Captured(home)
    assert found.companion
    assert kept(home) == {"source/files/train.py", "source/files/own.py"}
    assert found.sections()["python"]["virtualenv"] == str(folder / "myenv")


@pytest.mark.parametrize(
    "name",
    [".env", "prod.env", ".env.local", "id_rsa", "id_ed25519.pub", "key.pem", "x.key", "credentials.json", "aws_credentials", "client_secret.json",
     "service-account.json", ".netrc", "kaggle.json", "secrets.yaml", "home/.ssh/config", ".aws/config", "token.json"],
)  # fmt: skip
def test_files_that_may_hold_secrets(name: str, tmp_path: Path) -> None:
    """[CAP-4] [CAP-14]"""
    assert is_secret_file(f"/x/{name}")
    write(tmp_path, {name: "x = 1\n"})
    budget = Budget()
    assert budget.take(str(tmp_path / name), name) is None
    assert budget.left_out == {"may hold secrets": 1}


@pytest.mark.parametrize(
    "name", ["train.py", "environment.yml", "keys.py", "tokenizer.json", "monkey.py", "config.yaml"]
)
def test_files_that_do_not(name: str) -> None:
    assert not is_secret_file(f"/x/{name}")
    assert is_source(name)


def test_limits(tmp_path: Path) -> None:
    """[CAP-5]"""
    write(tmp_path, {"a.py": "x" * 100, "b.py": "y" * 2000, "c.py": "z" * 100, "d.py": "", "e\n.py": ""})
    os.mkfifo(tmp_path / "pipe.py")
    os.symlink("/nowhere", tmp_path / "broken.py")
    budget = Budget(files=2, total=150, each=1000)
    names = sorted(os.listdir(tmp_path))
    taken = {name: budget.take(str(tmp_path / name), name) for name in names}
    assert {name for name, one in taken.items() if one} == {"a.py", "d.py"}
    assert budget.left_out == {
        "too large": 1,
        "beyond the limit of all files": 1,
        "a name that cannot be a path": 1,
        "not a regular file": 1,
        "cannot be read": 1,
    }


def test_untracked_files_are_the_sources_only(home: Home, tmp_path: Path) -> None:
    """[CAP-4]"""
    folder = project(
        tmp_path / "x", {"train.py": "import fieldbook\nfieldbook.init('p')\n", ".gitignore": "*.log\nignored/\n"}
    )
    write(
        folder,
        {
            "new.py": "1\n",
            "run.sh": "x\n",
            "conf/a.yaml": "a: 1\n",
            "data.csv": "1\n",
            "model.pt": "x",
            ".env": "TOKEN=x\n",
            "x.log": "",
            "ignored/y.py": "",
        },
    )
    done = run_in(folder, home, "train.py")
    assert done.returncode == 0
    found = Captured(home)
    assert found.companion
    assert kept(home) == {f"source/untracked/{name}" for name in ("new.py", "run.sh", "conf/a.yaml")} | {
        "source/files/train.py"
    }


def test_environment_as_code(home: Home, tmp_path: Path) -> None:
    """[CAP-8]"""
    names = ["Dockerfile", "Dockerfile.gpu", "environment.yml", "requirements.txt", "requirements-dev.txt", "pyproject.toml", "setup.cfg",
             "poetry.lock", "uv.lock", "Pipfile.lock", "Makefile", "dvc.yaml", "dvc.lock", "conda-lock.yml"]  # fmt: skip
    folder = project(
        tmp_path / "x",
        {
            **dict.fromkeys(names, "x\n"),
            "README.md": "no\n",
            "sub/train.py": "import fieldbook\nfieldbook.init('p')\n",
            "sub/Makefile": "nearer\n",
        },
    )
    done = run_in(folder / "sub", home, "train.py")
    assert (done.returncode, done.stderr) == (0, "")
    found = Captured(home)
    assert found.companion
    assert {path for path in found.files() if path.startswith("environment/files/")} == {
        f"environment/files/{name}" for name in names
    }
    assert found.files()["environment/files/Makefile"] == b"nearer\n"


def test_imports_are_followed_without_running_anything(tmp_path: Path) -> None:
    """[CAP-4]"""
    write(
        tmp_path,
        {
            **FILES,
            "broken.py": "import helper\nthis is not !!!\n",
            "loop.py": "import loop2\n",
            "loop2.py": "import loop\nraise SystemExit\n",
        },
    )
    local = [str(tmp_path)]

    def of(name: str) -> set[str]:
        return {relative_to(path, local) for path in imported_files(str(tmp_path / name), local)}

    assert of("train.py") == {path[len("source/files/") :] for path in USED}
    assert of("broken.py") == {"broken.py"}
    assert of("loop.py") == {"loop.py", "loop2.py"}


def test_roots_are_never_a_whole_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert roots(None, "/", None) == []
    assert roots(str(tmp_path / "t.py"), str(tmp_path)) == []
    (tmp_path / "a/b").mkdir(parents=True)
    assert roots(str(tmp_path / "a/b/t.py"), str(tmp_path / "a"), str(tmp_path / "a")) == [str(tmp_path / "a")]


def test_python_m(home: Home, tmp_path: Path) -> None:
    """[CAP-4]"""
    write(
        tmp_path / "x",
        {
            "pkg/__init__.py": "",
            "pkg/train.py": "from . import other\nimport fieldbook\nfieldbook.init('p')\n",
            "pkg/other.py": "",
        },
    )
    done = run_in(tmp_path / "x", home, "-m", "pkg.train")
    assert (done.returncode, done.stderr) == (0, "")
    found = Captured(home)
    assert found.companion
    assert kept(home) == {f"source/files/pkg/{name}" for name in ("__init__.py", "train.py", "other.py")}
    assert found.sections()["command"]["module"] == "pkg.train"


def test_git_knows_which_files_are_its_own(tmp_path: Path) -> None:
    from fieldbook.capture.git import Checkout

    folder = project(tmp_path / "x", {"a.py": "", "b/c.py": ""})
    (folder / "new.py").write_text("")
    checkout = Checkout(str(folder))
    checkout.describe()
    paths = [str(folder / name) for name in ("a.py", "b/c.py", "new.py")]
    assert checkout.tracked(paths) == set(paths[:2])
    assert git(folder, "status", "--short") == "?? new.py\n"
