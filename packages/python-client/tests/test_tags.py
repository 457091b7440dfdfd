"""run.tags and tags=."""

from __future__ import annotations

import pytest

import fieldbook
from fieldbook import journal
from support import Home, meta


def test_tags_are_recorded_in_order(home: Home) -> None:
    with fieldbook.init("p", tags=["baseline", " fp16 ", "baseline"]) as run:
        run.tags.add("a", "b")
        run.tags.add(["c"])  # type: ignore[arg-type]
        run.tags.remove("a")
        run.tags.add()
    found = home.only()
    assert meta(found)["tags"] == ["baseline", "fp16"]
    assert [(tags["add"], tags["remove"]) for tags in found.of(journal.TAGS)] == [
        (["a", "b"], []),
        (["c"], []),
        ([], ["a"]),
    ]


def test_mistakes(home: Home) -> None:
    with fieldbook.init("p") as run:
        for tag, error in ((3, TypeError), ("", ValueError), ("x" * 129, ValueError), ("a\tb", ValueError)):
            with pytest.raises(error, match="tags"):
                run.tags.add(tag)  # type: ignore[arg-type]


def test_one_tag_too_many_is_told_and_not_recorded(home: Home) -> None:
    run = fieldbook.init("p", tags=["first"])
    run.tags.add(*[f"t{number}" for number in range(255)])
    with pytest.raises(ValueError, match="tag 257"):
        run.tags.add("one more")
    run.tags.add("first", "t0")
    run.tags.remove("t1")
    run.tags.add("one more")
    run.finish()
    added = [tag for record in home.only().of(journal.TAGS) for tag in record["add"]]
    assert added.count("one more") == 1
