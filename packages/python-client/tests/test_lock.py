"""The lock by which a reader tells a running writer from a dead one."""

from __future__ import annotations

import sys

import pytest

import fieldbook
from fieldbook import environment, journal_file, writer
from support import Home, locked, meta

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/locks")


def test_held_while_running_and_given_up_at_the_end(home: Home) -> None:
    """[JRN-13]"""
    run = fieldbook.init("p")
    (file,) = home.files()
    assert locked(file)
    assert meta(home.only())["lock"] == "ofd"
    run.log({"a": 1})
    home.only()  # opening and closing the file again, as any copy does, must not lose the lock
    assert locked(file)
    run.finish()
    assert not locked(file)


def test_handed_over_at_rotation(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """[JRN-13]"""
    monkeypatch.setattr(writer, "ROTATE_BYTES", 4000)
    run = fieldbook.init("p")
    for step in range(100):
        run.log({"a": step})
    files = home.files()
    assert len(files) > 1
    assert [locked(file) for file in files] == [False] * (len(files) - 1) + [True]
    run.finish()


def test_flock_where_ofd_is_refused_and_none_where_nothing_works(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def refuse(*arguments: object) -> None:
        raise OSError(38, "not here")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    with fieldbook.init("p", run_id="a"):
        assert meta(home.only())["lock"] == "flock"
        assert locked(home.files()[0])
    monkeypatch.setattr(fcntl, "flock", refuse)
    with fieldbook.init("p", run_id="b"):
        assert meta(home.journals()[1])["lock"] is None


def test_meta_names_the_process_as_the_kernel_does(home: Home) -> None:
    import os

    with fieldbook.init("p"):
        facts = meta(home.only())
    assert facts["pid"] == os.getpid()
    assert facts["pid_start"] == environment.process_start(os.getpid())
    assert facts["pid_start"] > 0
    assert facts["pid_ns"] == os.stat("/proc/self/ns/pid").st_ino
    assert len(facts["boot"]) == 36


def test_capture_0_says_nothing_about_the_machine(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("CAPTURE", "0"), ("HOST", "box"), ("USER", "ada")):
        monkeypatch.setenv(f"FIELDBOOK_{name}", value)
    with fieldbook.init("p"):
        facts = meta(home.only())
    assert (facts["host"], facts["user"]) == ("box", "ada")
    assert not {"argv", "cwd", "git", "pid", "boot"} & set(facts)


def test_the_folder_of_the_journal_is_created_as_documented(home: Home) -> None:
    with fieldbook.init("My Project", run_id="r.1"):
        (file,) = home.files()
    assert file.relative_to(home.path).parts[:3] == ("journals", "my-project", "r.1")
    assert file.name == f"{home.only().writer}.000000.fbj"
    assert journal_file.JournalFile(str(file.parent), home.only().writer, lambda _: {}).path_of(0) == str(file)
