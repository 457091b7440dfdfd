"""run[path].add and .remove."""

from __future__ import annotations

import pytest

import fieldbook
from support import Home, run_script


def test_members_come_and_go(home: Home) -> None:
    """[CLT-5]"""
    with fieldbook.init("p") as run:
        run["labels"].add("night", "blurry")
        run["labels"].add(["50%", "a/b"])  # type: ignore[arg-type]
        run["labels"].remove("blurry", "never added")
        run["labels"].add()
        run["labels"].remove()
        assert run["labels"].members == {"night", "50%", "a/b"}
    assert home.only().attributes() == {"labels/night": True, "labels/50%25": True, "labels/a%2Fb": True}


def test_sets_of_several_writers_become_one(home: Home) -> None:
    """[CLT-5]"""
    for labels in ("'a', 'b'", "'b', 'c'"):
        script = f"import fieldbook\nfieldbook.init('p', run_id='r')['labels'].add({labels})"
        code, _, err = run_script(script, home)
        assert code == 0, err
    merged: set[str] = set()
    for found in home.journals():
        merged.update(path for path, value in found.attributes().items() if value is True)
    assert merged == {"labels/a", "labels/b", "labels/c"}


def test_mistakes(home: Home) -> None:
    with fieldbook.init("p") as run:
        for text, error in ((3, TypeError), ("", ValueError), ("x" * 200, ValueError), ("a\tb", ValueError)):
            for verb in (run["labels"].add, run["labels"].remove):
                with pytest.raises(error, match=r"texts|labels"):
                    verb(text)
    assert home.only().attributes() == {}
