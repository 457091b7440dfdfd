"""The query language in Python: held against the agent's engine by the golden file of both, and what errors say."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from fieldbook import query
from fieldbook.query_literal import Literal
from fieldbook.query_pattern import Pattern, PatternFault
from fieldbook.query_syntax import QueryError, parse

GOLDEN = Path(__file__).resolve().parents[3] / "tests" / "golden" / "query" / "v1.json"


def _floats(pairs: dict[str, Any]) -> Any:
    return float(pairs["float"].replace("Infinity", "inf")) if list(pairs) == ["float"] else pairs


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(GOLDEN.read_text(), object_hook=_floats)
    return read


def test_finds_what_the_agent_finds(golden: dict[str, Any]) -> None:
    """[QRY-24] Every query of the file finds the same runs here, in the same order of the newest first."""
    assert len(golden["found"]) > 300
    wrong = {}
    for text, ids in golden["found"].items():
        found = query.select(golden["runs"], text, now=golden["now"], zone=golden["zone"])
        if [state["id"] for state in found] != ids:
            wrong[text] = ([state["id"] for state in found], ids)
    assert wrong == {}


def test_refuses_what_the_agent_refuses(golden: dict[str, Any]) -> None:
    """[QRY-25] With the same code at the same place; places are characters here and UTF-16 code units there."""
    for text, wanted in golden["refused"].items():
        with pytest.raises(QueryError) as caught:
            parse(text)
        error = caught.value
        before = len(text[: error.position].encode("utf-16-le")) // 2
        length = len(text[error.position : error.position + error.length].encode("utf-16-le")) // 2
        assert (error.code, before, length) == (wanted["code"], wanted["position"], wanted["length"]), text


def test_matches_what_the_agent_matches(golden: dict[str, Any]) -> None:
    """[QRY-26] Patterns find the same texts."""
    for text, (found, other) in golden["patterns"].items():
        source, _, flag = text.rpartition("/")
        pattern = Pattern(source, flag == "i")
        assert [sample for sample in (*found, *other) if pattern.test(sample)] == found, text


def test_errors_are_mistakes_of_the_user() -> None:
    """[QRY-25] A ValueError that shows the query and the place."""
    with pytest.raises(ValueError, match="There is nothing before") as caught:
        parse("lr > 1 or and x")
    assert str(caught.value).splitlines()[1:] == ["  lr > 1 or and x", "            ^"]
    with pytest.raises(ValueError, match="is never"):
        parse("status:done")


def test_patterns_take_linear_time() -> None:
    """[QRY-26] What makes a backtracking engine hang is answered at once, and what would compile to much is refused."""
    began = time.monotonic()
    assert not Pattern("(a*)*b|(a|aa)+$x", False).test("a" * 20_000)
    assert time.monotonic() - began < 5
    with pytest.raises(PatternFault, match="repeats too much"):
        Pattern("((a{9}){9}){99}", False)
    with pytest.raises(PatternFault, match="at most 512"):
        Pattern("a" * 513, False)


@pytest.mark.parametrize(
    ("text", "start", "days"),
    [
        ("2024-02", 1706745600000, 29),
        ("1969-12-31", -86400000, 1),
        ("0000", -62167219200000, 366),
        ("9999-12-31", 253402214400000, 1),
    ],
)
def test_dates(text: str, start: int, days: int) -> None:
    """[QRY-24] Periods of any year, which Python's own dates do not all have."""
    assert Literal(text, False, 0, 0).period(0, 0) == (start, start + days * 86400000)
