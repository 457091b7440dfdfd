"""The git checkout: real repositories in temporary folders."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from capture_support import Captured, git, project, run_in, write
from fieldbook.capture.git import Checkout, describe, warning_of
from support import Home

TRAIN = """
import fieldbook
with fieldbook.init("p") as run:
    run.log({"a": 1})
"""


def test_a_clean_checkout(tmp_path: Path) -> None:
    """[CAP-3]"""
    folder = project(tmp_path / "x", {"a.py": "1\n", "b/c.py": "2\n"})
    git(folder, "remote", "add", "origin", "https://ada:ghp_0123456789012345678901234567890123456789@example.org/x.git")
    git(folder, "remote", "add", "other", "git@example.org:x.git")
    found = describe(str(folder / "b"))
    assert found is not None
    assert found["root"] == str(folder)
    assert found["commit"] == git(folder, "rev-parse", "HEAD").strip()
    assert (found["message"], found["author"], found["branch"], found["detached"]) == (
        "the first commit",
        "Ada <ada@example.org>",
        "trunk",
        False,
    )
    assert found["date"].startswith("20")
    assert (found["dirty"], found["changed"], found["untracked"]) == (False, [], [])
    assert found["remotes"] == {"origin": "https://example.org/x.git", "other": "git@example.org:x.git"}
    assert found["notes"] == []
    assert warning_of(found) is None


def test_patch_and_untracked_files_make_the_same_tree(tmp_path: Path) -> None:
    """[CAP-3]"""
    folder = project(
        tmp_path / "x", {"a.py": "one\ntwo\n", "gone.py": "x\n", "old name.py": "same\n" * 20, "ü.py": "ä\n"}
    )
    (folder / "data.bin").write_bytes(bytes(range(256)) * 20)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "two")
    commit = git(folder, "rev-parse", "HEAD").strip()
    write(folder, {"a.py": "one\ntwo and a half\n", "ü.py": "ö\n", "staged.py": "new\n"})
    (folder / "gone.py").unlink()
    (folder / "data.bin").write_bytes(bytes(range(255, -1, -1)) * 20)
    git(folder, "mv", "old name.py", "new name.py")
    git(folder, "add", "staged.py")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "a.py").chmod(0o755)
    checkout = Checkout(str(folder))
    facts = checkout.describe()
    patch = checkout.patch()
    assert facts is not None
    assert patch is not None
    assert facts["dirty"] is True
    assert facts["untracked"] == ["run.sh"]
    assert set(facts["changed"]) == {"a.py", "data.bin", "gone.py", "new name.py", "staged.py", "ü.py"}
    fresh = tmp_path / "fresh"
    git(tmp_path, "clone", "-q", str(folder), str(fresh))
    git(fresh, "checkout", "-q", commit)
    subprocess.run(["git", "apply", "--index", "-"], input=patch, cwd=fresh, check=True)
    for path in checkout.untracked:
        (fresh / path).write_bytes((folder / path).read_bytes())
    tree = {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }
    assert tree == {
        path.relative_to(fresh): path.read_bytes()
        for path in fresh.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }
    assert os.access(fresh / "a.py", os.X_OK)


def test_a_capture_changes_nothing_in_the_repository(tmp_path: Path) -> None:
    folder = project(tmp_path / "x", {"a.py": "1\n"})
    os.utime(folder / "a.py", (1, 1))  # git would refresh its index for this
    index = (folder / ".git/index").read_bytes()
    checkout = Checkout(str(folder))
    checkout.describe()
    checkout.patch()
    assert (folder / ".git/index").read_bytes() == index


def test_the_warning_is_on_the_terminal_and_the_flag_in_the_run(home: Home, tmp_path: Path) -> None:
    """[CAP-3]"""
    folder = project(tmp_path / "x", {"t.py": TRAIN})
    (folder / "t.py").write_text(TRAIN + "# changed\n")
    (folder / "new.py").write_text("x = 1\n")
    done = run_in(folder, home, "t.py")
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert "1 changed file and 1 untracked file" in done.stderr
    found = Captured(home)
    assert found.sections()["git"]["dirty"] is True
    assert b"+# changed\n" in found.files()["source/diff.patch"]
    assert found.files()["source/untracked/new.py"] == b"x = 1\n"


def test_many_runs_of_one_process_warn_once(home: Home, tmp_path: Path) -> None:
    """[CAP-3]"""
    folder = project(tmp_path / "x", {"t.py": "import fieldbook\nfor _ in range(3): fieldbook.init('p').finish()\n"})
    (folder / "new.py").write_text("x = 1\n")
    assert run_in(folder, home, "t.py").stderr.count("the code is not what is committed") == 1


def test_a_clean_tree_is_not_worth_a_word(home: Home, tmp_path: Path) -> None:
    """[CAP-3]"""
    folder = project(tmp_path / "x", {"t.py": TRAIN})
    assert run_in(folder, home, "t.py").stderr == ""
    found = Captured(home)
    assert found.sections()["git"]["dirty"] is False
    assert [path for path in found.files() if path.startswith("source/")] == []


def test_states_of_a_repository(tmp_path: Path) -> None:
    """[CAP-5]"""
    folder = project(tmp_path / "x", {}, commit=False)
    write(folder, {"a.py": "1\n"})
    git(folder, "add", "a.py")
    checkout = Checkout(str(folder))
    found = checkout.describe()
    assert found is not None
    assert (found["commit"], found["branch"], found["dirty"]) == (None, "trunk", True)
    assert "there is no commit yet" in found["notes"]
    assert "an empty repository" in str(warning_of(found))
    patch = checkout.patch()
    assert patch is not None
    assert b"+1\n" in patch

    git(folder, "commit", "-q", "-m", "one")
    git(folder, "worktree", "add", "-q", "-b", "side/x", str(tmp_path / "tree"))
    (tmp_path / "tree" / "a.py").write_text("2\n")
    found = describe(str(tmp_path / "tree"))
    assert found is not None
    assert (found["branch"], found["root"], found["worktree"], found["dirty"]) == (
        "side/x",
        str(tmp_path / "tree"),
        True,
        True,
    )

    git(folder, "checkout", "-q", "--detach")
    found = describe(str(folder))
    assert found is not None
    assert (found["branch"], found["detached"]) == (None, True)


def test_ahead_and_behind(tmp_path: Path) -> None:
    """[CAP-3]"""
    folder = project(tmp_path / "x", {"a.py": "1\n"})
    git(tmp_path, "clone", "-q", str(folder), "y")
    clone = tmp_path / "y"
    git(folder, "commit", "-q", "--allow-empty", "-m", "theirs")
    git(clone, "fetch", "-q")
    for _ in range(2):
        git(clone, "commit", "-q", "--allow-empty", "-m", "ours")
    found = describe(str(clone))
    assert found is not None
    assert (found["upstream"], found["ahead"], found["behind"]) == ("origin/trunk", 2, 1)


def test_submodules(tmp_path: Path) -> None:
    """[CAP-5]"""
    inner = project(tmp_path / "inner", {"i.py": "1\n"})
    folder = project(tmp_path / "x", {"a.py": "1\n"})
    git(folder, "submodule", "add", "-q", str(inner), "lib")
    git(folder, "commit", "-q", "-m", "with a submodule")
    (folder / "lib/i.py").write_text("2\n")
    found = describe(str(folder))
    assert found is not None
    assert found["submodules"] == [
        {"path": "lib", "commit": git(inner, "rev-parse", "HEAD").strip(), "state": "as committed"}
    ]
    assert found["dirty"] is True
    assert "submodule lib has changes that no patch holds" in found["notes"]


def test_no_git_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[CAP-5]"""
    folder = project(tmp_path / "x", {"a.py": "1\n"})
    head = git(folder, "rev-parse", "HEAD").strip()
    monkeypatch.setenv("PATH", str(tmp_path))
    found = describe(str(folder))
    assert found is not None
    assert (found["commit"], found["branch"], found["dirty"]) == (head, "trunk", None)
    assert "git is not installed" in found["notes"][0]
    assert describe("/") is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_that_git_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[CAP-5]"""
    folder = project(tmp_path / "x", {"a.py": "1\n"})
    head = git(folder, "rev-parse", "HEAD").strip()
    monkeypatch.setenv("HOME", str(tmp_path))  # no safe.directory of this machine
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for path in (folder, folder / ".git"):
        os.chown(path, 12345, 12345)
    found = describe(str(folder))
    assert found is not None
    assert (found["commit"], found["dirty"]) == (head, None)
    assert "safe.directory" in found["notes"][0]


def test_a_repository_that_takes_too_long(tmp_path: Path) -> None:
    """[CAP-5]"""
    folder = project(tmp_path / "x", {"a.py": "1\n"})
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(
        '#!/bin/sh\nfor word in "$@"; do [ "$word" = status ] && exec sleep 60; done\nPATH="$REAL" exec git "$@"\n'
    )
    slow.chmod(0o755)
    path = os.environ["PATH"]
    environ = {"PATH": f"{slow.parent}:{path}", "REAL": path}
    before = {name: os.environ.get(name) for name in environ}
    os.environ.update(environ)
    try:
        found = Checkout(str(folder), seconds=0.5).describe()
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
    assert found is not None
    assert found["commit"] is not None
    assert found["dirty"] is None
    assert any("took too long" in note for note in found["notes"])


def test_a_patch_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[CAP-5]"""
    folder = project(tmp_path / "x", {"a.txt": "1\n"})
    (folder / "data.bin").write_bytes(b"\0")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "two")
    (folder / "a.txt").write_text("2\n")
    (folder / "data.bin").write_bytes(os.urandom(200_000))
    monkeypatch.setattr("fieldbook.capture.git.PATCH_BYTES", 100_000)
    checkout = Checkout(str(folder))
    checkout.describe()
    patch = checkout.patch()
    assert patch is not None
    assert b"+2\n" in patch
    assert len(patch) < 1000
    assert any("binary files" in note for note in checkout.notes)
    (folder / "a.txt").write_text("x\n" * 100_000)
    assert checkout.patch() is None
    assert any("no patch: larger" in note for note in checkout.notes)


def test_a_change_within_the_second_of_the_commit(home: Home, tmp_path: Path) -> None:
    """[CAP-3] Size and time are as in the index: git compares contents only as long as the index is not newer."""
    folder = project(tmp_path / "x", {"t.py": "import fieldbook\nfieldbook.init('p')\n"}, commit=False)
    git(folder, "config", "core.trustctime", "false")
    write(folder, {"a.txt": "1\n"})
    os.utime(folder / "a.txt", (1_700_000_000, 1_700_000_000))
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one")
    write(folder, {"a.txt": "2\n"})
    os.utime(folder / "a.txt", (1_700_000_000, 1_700_000_000))
    os.utime(folder / ".git" / "index", (1_700_000_000, 1_700_000_000))
    run_in(folder, home, "t.py")
    found = Captured(home)
    assert found.companion
    assert found.sections()["git"]["changed"] == ["a.txt"]
    assert b"-1\n+2\n" in found.files()["source/diff.patch"]
