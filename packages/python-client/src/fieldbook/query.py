"""Answers queries of docs/query.md over runs that were read from disk, as the agent does over its store.

A state is what the agent's API shows of a run (:mod:`fieldbook.read_disk` makes them), with ``writers`` as a list; a time
among its attributes is ``{"time": ms}``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from .query_literal import Literal
from .query_syntax import Path, QueryError, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    State = Mapping[str, Any]

__all__ = ["QueryError", "select", "value_of"]

_AGGREGATES = ("last", "min", "max", "count", "step", "minStep", "maxStep", "nonFinite")
_MISSING: Any = object()


def select(states: Iterable[State], query: str, *, now: float, zone: int = 0) -> list[State]:
    """The states that a query matches, the newest first, equal ones by id.

    ``now`` is in ms since the epoch, ``zone`` in minutes east of UTC for dates that name none. Raises :class:`QueryError`.
    """
    root = parse(query)
    listed = list(states)
    asked = _Asked(listed, now, zone)
    found = [state for state in listed if root is None or asked.holds(root, state)]
    return sorted(found, key=lambda state: (-state["created"], units(state["id"])))


def value_of(state: State, column: str, *, now: float | None = None) -> Any:
    """What a run has in a column named as in a query (`name`, `params/lr`, `val/loss.min`, `a:…`, `m:…`); None if nothing."""
    import time

    scope = {"a:": "attribute", "m:": "metric"}.get(column[:2], "any")
    path = Path(column if scope == "any" else column[2:], False, scope, 0, len(column))
    value = _Asked([state], time.time() * 1000 if now is None else now, 0).value(path, state)
    return None if value is _MISSING else value


class _Asked:
    def __init__(self, states: Sequence[State], now: float, zone: int) -> None:
        self._attributes = {path for state in states for path in state["attributes"]}
        self._metrics = {path for state in states for path in state["metrics"]}
        self._now = now
        self._zone = zone

    def holds(self, node: Any, state: State) -> bool:
        kind = node[0]
        if kind == "and":
            return all(self.holds(term, state) for term in node[1])
        if kind == "or":
            return any(self.holds(term, state) for term in node[1])
        if kind == "not":
            return not self.holds(node[1], state)
        if kind == "word":
            word = node[1].lower()
            return any(word in text.lower() for text in (state["name"], state["notes"], *state["tags"]))
        path: Path = node[1]
        value = self.value(path, state)
        if kind == "presence":
            return bool(node[2]) == (value is not _MISSING)
        if value is _MISSING:
            return False
        if kind == "flag":
            return value is True
        if kind == "match":
            texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
            return bool(node[2]) != any(map(node[3].test, texts))
        if kind == "in":
            return bool(node[2]) != any(self._equal(path, value, literal, False) for literal in node[3])
        return self._compare(path, value, node[2], node[3])

    def _compare(self, path: Path, value: Any, operator: str, literal: Literal) -> bool:
        if operator in ("=", "!=", ":"):
            return self._equal(path, value, literal, operator == ":") != (operator == "!=")
        if operator == "has":
            if isinstance(value, str):
                return literal.text.lower() in value.lower()
            return isinstance(value, list) and literal.text in value
        return self._ordered(path, value, operator, literal)

    def _equal(self, path: Path, value: Any, literal: Literal, loosely: bool) -> bool:
        if value is None:
            return literal.is_null()
        if isinstance(value, bool):
            return literal.boolean() is value
        if isinstance(value, (int, float)):
            wanted = _number(path, literal)
            return wanted is not None and (
                _float(value) == wanted or (math.isnan(wanted) and math.isnan(_float(value)))
            )
        if isinstance(value, str):
            return literal.text.lower() in value.lower() if loosely else value == literal.text
        if isinstance(value, list):
            lower = literal.text.lower()
            return any(each.lower() == lower if loosely else each == literal.text for each in value)
        return self._beside(value["time"], literal) == 0

    def _ordered(self, path: Path, value: Any, operator: str, literal: Literal) -> bool:
        order: int | None = None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            wanted = _number(path, literal)
            number = _float(value)
            if wanted is None or math.isnan(wanted) or math.isnan(number):
                return False
            order = (number > wanted) - (number < wanted)
        elif isinstance(value, str):
            # A bare number is compared with numbers only: `lr < 0.1` does not find a text "0".
            if literal.number() is not None:
                return False
            key: Callable[[str], bytes] = units if path.field == "id" else natural
            mine, other = key(value), key(literal.text)
            order = (mine > other) - (mine < other)
        elif isinstance(value, dict):
            order = self._beside(value["time"], literal)
        if order is None:
            return False
        return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[operator]

    def _beside(self, time: float, literal: Literal) -> int | None:
        """Whether a time is before, in or behind the period that a literal names; None if it names none."""
        period = literal.period(self._now, self._zone)
        if period is None:
            return None
        start, until = period
        if time < start:
            return -1
        return 0 if time == start or time < until else 1

    def value(self, path: Path, state: State) -> Any:
        field = path.field
        if field is not None:
            return self._field(field, state)
        text = path.text
        if path.scope == "attribute":
            return state["attributes"].get(text, _MISSING)
        if path.scope == "metric":
            return _metric(state, *(_split(text) or (text, "last")))
        if text in self._attributes:
            return state["attributes"].get(text, _MISSING)
        if text in self._metrics:
            return _metric(state, text, "last")
        split = _split(text)
        return _metric(state, *split) if split is not None and split[0] in self._metrics else _MISSING

    def _field(self, field: str, state: State) -> Any:
        if field in ("created", "updated", "ended"):
            return _MISSING if state[field] is None else {"time": state[field]}
        if field == "duration":
            until = state["ended"]
            if until is None:
                until = self._now if state["status"] == "running" else state["updated"]
            return max(0.0, until - state["created"])
        if field == "conflicted":
            return bool(state["conflicts"])
        if field == "writers":
            return len(state["writers"])
        value = state[field]
        return _MISSING if value in (None, "", []) else value


def _split(text: str) -> tuple[str, str] | None:
    path, dot, aggregate = text.rpartition(".")
    return (path, aggregate) if dot and path and aggregate in _AGGREGATES else None


def _metric(state: State, path: str, aggregate: str) -> Any:
    summary = state["metrics"].get(path)
    if summary is None:
        return _MISSING
    if aggregate == "step":
        return summary["lastStep"]
    extreme = aggregate[:3] if aggregate[:3] in ("min", "max") else None
    # NaN stands for "no finite value yet": then there is no extreme, and no step of it.
    if extreme is not None and math.isnan(summary[extreme]):
        return _MISSING
    return summary[aggregate]


def _number(path: Path, literal: Literal) -> float | None:
    """The number that a literal is for this path. Durations are ms, and a bare number is seconds there."""
    number = literal.number()
    if path.field != "duration":
        return number
    return literal.duration() if number is None else number * 1_000


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def units(text: str) -> bytes:
    """Orders texts by UTF-16 code units, as the agent does."""
    return text.encode("utf-16-be", "surrogatepass")


def natural(text: str) -> bytes:
    """Orders `run2` before `run10`, letters whatever their case; equals by the texts themselves."""
    lower = text.lower()

    def counted(digits: re.Match[str]) -> str:
        significant = digits[0].lstrip("0") or "0"
        return "0" + chr(len(significant)) + significant

    return units(re.sub("[0-9]+", counted, lower) + "\0" + text)
