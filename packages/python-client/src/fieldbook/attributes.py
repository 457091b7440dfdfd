"""Attributes of a run: from what users hand in to ATTRS records, and what this process has set so far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from . import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    #: Path, JSON, the value as it was handed in, and the type of one that only its text is kept of.
    Encoded = tuple[str, Any, Any, "str | None"]


#: JSON of one ATTRS record, far below the record limit.
ATTRS_BYTES = 256 * 1024
#: The attribute that lists what was stringified (docs/formats/journal.md).
STRINGIFIED = "sys/stringified"
PARENT = "sys/parent"


def encoded(value: Any, prefix: str, argument: str) -> list[Encoded]:
    """Everything at and below a path. Raises ``TypeError``/``ValueError`` naming the argument."""
    found: list[Encoded] = []
    for path, leaf in values.flatten(value, prefix, argument):
        text, kind = values.describe_attribute(values.check_path(path, argument), leaf)
        found.append((path, text, leaf, kind))
        if len(found) > values.ATTRIBUTES_LIMIT:
            raise ValueError(f"{argument} has more than {values.ATTRIBUTES_LIMIT} values")
    return found


def check_config(config: Any) -> list[Encoded]:
    """``config=`` of ``init`` as attributes under ``params``."""
    members = values.members_of(config)
    if members is None:
        raise TypeError(f"config must be a mapping, namespace or dataclass, not {type(config).__name__}")
    return encoded(config, "params", "config") if members else []


def in_records(pairs: Iterable[tuple[str, Any]]) -> Iterator[dict[str, Any]]:
    """The attributes in pieces of one record each."""
    chunk: dict[str, Any] = {}
    size = 0
    for path, value in pairs:
        chunk[path] = value
        size += 600 + (len(value) * 4 if isinstance(value, str) else 0)
        if isinstance(value, list):
            size += sum(len(item) * 4 for item in value)
        if size > ATTRS_BYTES:
            yield chunk
            chunk, size = {}, 0
    if chunk:
        yield chunk


class Echo:
    """What this process has set: the values themselves, and which of them only their text is kept of."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._stringified: dict[str, str] = {}

    def note(self, found: list[Encoded]) -> list[tuple[str, Any]]:
        """Takes in what is being set; returns the pairs to record, the list of stringified paths when it changes."""
        pairs = [(path, text) for path, text, _, _ in found]
        before = len(self._stringified)
        changed = False
        for path, _, leaf, kind in found:
            self.values[path] = leaf
            if kind is not None:
                changed = changed or self._stringified.get(path) != kind
                self._stringified[path] = kind
            elif before:
                changed = self._stringified.pop(path, None) is not None or changed
        return [*pairs, (STRINGIFIED, self._flags())] if changed else pairs

    def forget(self, path: str) -> list[str] | None:
        """A path and all below it are gone; returns the list of stringified paths when it changes."""
        for known in [known for known in self.values if known == path or known.startswith(path + "/")]:
            del self.values[known]
        gone = [known for known in self._stringified if known == path or known.startswith(path + "/")]
        for known in gone:
            del self._stringified[known]
        return self._flags() if gone else None

    def _flags(self) -> list[str]:
        listed = [f"{kind} {path}" for path, kind in sorted(self._stringified.items())]
        return listed[: values.LIST_LIMIT]

    def members(self, path: str) -> set[str]:
        """The last parts of what was set true right below a path."""
        below = path + "/"
        return {
            known[len(below) :]
            for known, value in self.values.items()
            if known.startswith(below) and value is True and "/" not in known[len(below) :]
        }
