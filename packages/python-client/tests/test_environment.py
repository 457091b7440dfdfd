"""What is read from outside."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import fieldbook
from fieldbook import environment
from support import Home, meta


def test_git_is_read_from_its_files(tmp_path: Path) -> None:
    def git(*arguments: str, cwd: Path = tmp_path) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=trunk"]
        return subprocess.run(
            ["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q")
    assert environment.git(str(tmp_path)) == {"commit": None, "branch": "trunk"}
    git("commit", "-q", "--allow-empty", "-m", "one")
    head = git("rev-parse", "HEAD").strip()
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert environment.git(str(inner)) == {"commit": head, "branch": "trunk"}
    git("pack-refs", "--all")
    assert environment.git(str(tmp_path)) == {"commit": head, "branch": "trunk"}
    git("worktree", "add", "-q", "-b", "side/x", str(tmp_path / "tree"))
    assert environment.git(str(tmp_path / "tree")) == {"commit": head, "branch": "side/x"}
    git("checkout", "-q", "--detach")
    assert environment.git(str(tmp_path)) == {"commit": head, "branch": None}


def test_no_git_no_answer(tmp_path: Path) -> None:
    assert environment.git(str(tmp_path)) is None
    assert environment.git(None) is None


def test_process_names_with_spaces_and_parentheses() -> None:
    assert environment.process_start(os.getpid()) is not None
    assert environment.process_start(2**22 + 1) is None


def test_a_run_id_from_the_environment(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDBOOK_RUN_ID", "job-7")
    with fieldbook.init("p") as run:
        assert run.id == "job-7"
        with fieldbook.init("p") as second:
            assert second.id != "job-7"
    assert os.environ["FIELDBOOK_RUN_ID"] == "job-7"
    assert meta(home.journals()[-1])["run"] == "job-7"
    monkeypatch.setenv("FIELDBOOK_RUN_ID", "not/usable")
    with pytest.raises(ValueError, match="FIELDBOOK_RUN_ID"):
        fieldbook.init("p")


def test_a_working_directory_that_is_gone(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with fieldbook.init("p") as run:
        run.log({"a": 1})
    assert meta(home.only())["cwd"] is None


def test_children_join_the_latest_run_that_is_still_open(home: Home) -> None:
    first = fieldbook.init("p")
    second = fieldbook.init("p")
    assert os.environ["FIELDBOOK_RUN_ID"] == second.id
    first.finish()
    assert os.environ["FIELDBOOK_RUN_ID"] == second.id
    third = fieldbook.init("p")
    third.finish()
    assert os.environ["FIELDBOOK_RUN_ID"] == second.id
    second.finish()
    assert "FIELDBOOK_RUN_ID" not in os.environ
    assert "FIELDBOOK_PARENT" not in os.environ


@pytest.mark.skipif(os.name != "posix", reason="HOME is a matter of POSIX")
def test_an_empty_home_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    monkeypatch.delenv("FIELDBOOK_HOME", raising=False)
    monkeypatch.setenv("HOME", "")
    assert environment.home() == os.path.join(pwd.getpwuid(os.getuid()).pw_dir, ".fieldbook")
    monkeypatch.setenv("HOME", "/home/ada")
    assert environment.home() == "/home/ada/.fieldbook"
