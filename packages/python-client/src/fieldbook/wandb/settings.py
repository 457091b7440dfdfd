"""``wandb.config`` and ``wandb.summary``."""

from __future__ import annotations

import json
from collections.abc import Callable, ItemsView, Iterator, Mapping

from ..console import warn_once
from ..values import is_number, members_of, number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parsed(given: Any) -> dict[str, Any]:
    """A configuration as a dict: of a mapping, namespace or dataclass, of absl's flags, or of a YAML or JSON file."""
    if given is None:
        return {}
    if isinstance(given, str):
        return _of_file(given)
    flags = getattr(given, "flag_values_dict", None)
    if callable(flags):
        return dict(flags())
    members = members_of(given)
    if members is None:
        raise TypeError(f"config must be a mapping, namespace or the path of a file, not {type(given).__name__}")
    return {str(key): value for key, value in members.items()}


def _of_file(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        found = json.loads(text)
    except ValueError:
        try:
            import yaml  # type: ignore[import-untyped, unused-ignore]
        except ImportError:
            warn_once("wandb yaml", f"{path} is not read: PyYAML is not installed.")
            return {}
        found = yaml.safe_load(text)
    if not isinstance(found, dict):
        return {}
    # wandb's files say {"lr": {"value": 0.1, "desc": …}}
    return {
        str(key): item["value"] if isinstance(item, dict) and "value" in item else item
        for key, item in found.items()
        if key != "wandb_version"
    }


class Config:
    """``run.config``: by attribute and by item, as wandb has it. What is set becomes an attribute under ``params``.

    wandb refuses to change a value without ``allow_val_change``; here it is changed, with its history.
    """

    _items: dict[str, Any]
    _set: Callable[[dict[str, Any]], None]

    def __init__(self, set_: Callable[[dict[str, Any]], None]) -> None:
        object.__setattr__(self, "_items", {})
        object.__setattr__(self, "_set", set_)

    def update(self, d: Any, allow_val_change: bool | None = None) -> None:
        """Several at once, of whatever ``wandb.init(config=…)`` takes."""
        found = parsed(d)
        self._items.update(found)
        if found:
            self._set(found)

    def setdefaults(self, d: Any) -> None:
        """Only what is not there yet."""
        self.update({key: value for key, value in parsed(d).items() if key not in self._items})

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __setattr__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __getattr__(self, key: str) -> Any:
        try:
            return self._items[key]
        except KeyError:
            raise AttributeError(f"config has no {key!r}") from None

    def get(self, key: str, default: Any = None) -> Any:
        """A value, or the default."""
        return self._items.get(key, default)

    def keys(self) -> list[str]:
        """Names of what is set."""
        return list(self._items)

    def items(self) -> ItemsView[str, Any]:
        """Names and values."""
        return self._items.items()

    def as_dict(self) -> dict[str, Any]:
        """A copy as a plain dict."""
        return dict(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __repr__(self) -> str:
        return repr(self._items)


#: What ``define_metric(summary=…)`` may ask for, by the running (first, last, min, max, sum, count).
_KINDS = ("min", "max", "mean", "first", "last", "best", "none")


class Summary:
    """``run.summary``: the last value of each metric, or what was set instead. What is set becomes an attribute.

    ``define_metric("loss", summary="min")`` makes ``summary["loss"]`` a dict, as wandb does: ``{"min": 0.1}``.
    """

    _values: dict[str, Any]
    _asked: dict[str, list[str]]
    _set: Callable[[dict[str, Any]], None]

    def __init__(self, set_: Callable[[dict[str, Any]], None]) -> None:
        object.__setattr__(self, "_values", {})
        object.__setattr__(self, "_asked", {})
        object.__setattr__(self, "_seen", {})
        object.__setattr__(self, "_set", set_)

    def ask(self, pattern: str, kinds: str) -> list[str]:
        """``define_metric(summary="min,max")``; returns the kinds that are known."""
        known = [kind.strip() for kind in kinds.split(",") if kind.strip() in _KINDS]
        self._asked[pattern] = known
        return known

    def note(self, key: str, value: Any) -> None:
        """A value was logged."""
        asked = self._asked_of(key)
        if asked is None or not is_number(value):
            self._values[key] = value
            return
        number = number_of(key, value)
        seen: dict[str, float] = self.__dict__["_seen"].setdefault(
            key, {"first": number, "min": number, "max": number, "sum": 0.0, "count": 0.0}
        )
        seen["last"] = number
        seen["min"], seen["max"] = min(seen["min"], number), max(seen["max"], number)
        seen["sum"] += number
        seen["count"] += 1
        seen["mean"] = seen["sum"] / seen["count"]
        found = {kind: seen[kind] for kind in asked if kind in seen}
        if found:
            self._values[key] = found

    def _asked_of(self, key: str) -> list[str] | None:
        from fnmatch import fnmatchcase

        if key in self._asked:
            return self._asked[key]
        return next((kinds for pattern, kinds in self._asked.items() if fnmatchcase(key, pattern)), None)

    def update(self, d: Mapping[str, Any]) -> None:
        """Several at once."""
        found = {str(key): value for key, value in d.items()}
        self._values.update(found)
        if found:
            self._set(found)

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __setattr__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __getattr__(self, key: str) -> Any:
        try:
            return self._values[key]
        except KeyError:
            raise AttributeError(f"summary has no {key!r}") from None

    def get(self, key: str, default: Any = None) -> Any:
        """A value, or the default."""
        return self._values.get(key, default)

    def keys(self) -> list[str]:
        """Names of what is there."""
        return list(self._values)

    def items(self) -> ItemsView[str, Any]:
        """Names and values."""
        return self._values.items()

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __repr__(self) -> str:
        return repr(self._values)
