"""What users hand in, made into what a journal holds; or a ``TypeError``/``ValueError`` that names the argument.

A metric's value must be one number: Python's, numpy's or a tensor's with one element (nothing is imported for that:
whatever has ``item()`` is asked). An attribute may be anything; what is neither number, text, truth value, time nor list
of texts is kept as text.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterator, Mapping

from .console import warn_once
from .journal import PATH_LIMIT
from .redaction import redact_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: A string parameter: a path, a command, a short prompt. Longer texts are cut, with one warning.
TEXT_LIMIT = 4096
#: Texts of one attribute; what is longer is data.
LIST_LIMIT = 1000
NAME_LIMIT = 512
NOTES_LIMIT = 64 * 1024
TAG_LIMIT = 128
TAGS_LIMIT = 256
#: Attributes set by one call; a larger mapping is data, not a description.
ATTRIBUTES_LIMIT = 50_000
#: Nesting of a mapping of attributes: beyond it somebody handed in a graph.
DEPTH_LIMIT = 32

_SAFE_INTEGER = 2**53 - 1


def check_path(path: Any, argument: str) -> str:
    """A usable metric or attribute path, or a mistake of the user."""
    if not isinstance(path, str):
        raise TypeError(f"{argument} must be a string such as 'train/loss', not {type(path).__name__}")
    problem = None
    if not path:
        problem = "it is empty"
    elif len(path.encode("utf-8", "replace")) > PATH_LIMIT:
        problem = f"it is longer than {PATH_LIMIT} bytes"
    elif _has_control(path):
        problem = "it contains a control character"
    elif path[0] == "/" or path[-1] == "/" or "//" in path:
        problem = "it has an empty part; write it as 'train/loss'"
    if problem is not None:
        raise ValueError(f"{argument} cannot be {path[:80]!r}: {problem}")
    return path


def _has_control(text: str) -> bool:
    if text.isascii():
        return not text.isprintable()
    return any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text)


def check_text(value: Any, argument: str, limit: int) -> str:
    """A text of at most ``limit`` UTF-8 bytes."""
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be a string, not {type(value).__name__}")
    if len(value.encode("utf-8", "replace")) > limit:
        raise ValueError(f"{argument} is longer than {limit} bytes")
    return str(value)


def check_tag(tag: Any, argument: str) -> str:
    """A tag: a word or two."""
    text = check_text(tag, argument, TAG_LIMIT).strip()
    if not text:
        raise ValueError(f"{argument} must not be empty")
    if _has_control(text):
        raise ValueError(f"{argument} contains a control character")
    return text


def on_device(value: Any) -> bool:
    """True for a tensor on an accelerator, whose ``item()`` would wait for the device."""
    if getattr(value, "is_cuda", False):
        return True
    kind = getattr(getattr(value, "device", None), "type", "cpu")
    return isinstance(kind, str) and kind != "cpu"


def snapshot(name: str, value: Any) -> Any:
    """A copy of a device tensor that later in-place changes do not reach; enqueued, not waited for."""
    count = getattr(value, "numel", None)
    if callable(count) and count() != 1:
        raise TypeError(f"metric {name!r} must be one number, not a tensor of {count()} elements")
    detach = getattr(value, "detach", None)
    copy = detach() if callable(detach) else value
    clone = getattr(copy, "clone", None)
    return clone() if callable(clone) else copy


def number_of(name: str, value: Any) -> float:
    """The one number that a value holds."""
    if isinstance(value, (str, bytes, bytearray)) or value is None:
        raise TypeError(f"metric {name!r} must be a number, not {_describe(value)}")
    item = getattr(value, "item", None)
    if callable(item):
        try:
            value = item()
        except Exception as error:  # numpy: ValueError, torch: RuntimeError, others: their own
            shape = getattr(value, "shape", None)
            raise TypeError(f"metric {name!r} must be one number, not an array of shape {shape}") from error
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError) as error:
        raise TypeError(f"metric {name!r} must be a number, not {_describe(value)}") from error


def step_of(step: Any) -> float:
    """A step given by the user: any finite number."""
    try:
        number = number_of("step", step)
    except TypeError:
        raise TypeError(f"step must be a number, not {_describe(step)}") from None
    if not math.isfinite(number):
        raise ValueError(f"step must be finite, not {number}")
    return number


def _describe(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    return type(value).__name__


def flatten(value: Any, prefix: str, argument: str) -> Iterator[tuple[str, Any]]:
    """``(path, leaf)`` of nested mappings, dataclasses and namespaces."""
    return _flatten(value, prefix, argument, 0)


def _flatten(value: Any, prefix: str, argument: str, depth: int) -> Iterator[tuple[str, Any]]:
    members = members_of(value)
    if members is None or (not members and depth > 0):
        yield prefix, ({} if members is not None else value)
        return
    if depth > DEPTH_LIMIT:
        raise ValueError(f"{argument} is nested deeper than {DEPTH_LIMIT} levels")
    for key, item in members.items():
        text = key if isinstance(key, str) else str(key)
        path = f"{prefix}/{text}" if prefix else text
        yield from _flatten(item, path, argument, depth + 1)


def members_of(value: Any) -> Mapping[Any, Any] | None:
    """The named members of a mapping, an ``argparse.Namespace``, a dataclass or a pydantic model; else None."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, type):
        return None
    fields = getattr(value, "__dataclass_fields__", None) or getattr(type(value), "model_fields", None)
    if isinstance(fields, Mapping):
        return {name: getattr(value, name) for name in fields if hasattr(value, name)}
    if type(value).__name__ in ("Namespace", "SimpleNamespace"):
        return dict(vars(value))
    return None


def encode_attribute(path: str, value: Any) -> Any:
    """An attribute's JSON, as docs/formats/journal.md has it under ATTRS."""
    kind = type(value)
    if kind is str:
        return _clip(path, redact_value(path, value))
    if value is None or kind is bool:
        return value
    if kind is int:
        return _encode_integer(value)
    if kind is float:
        return _encode_float(value)
    return _encode_other(path, value)


def _encode_integer(value: int) -> Any:
    if -_SAFE_INTEGER <= value <= _SAFE_INTEGER:
        return value
    # Beyond 400 digits it is no parameter any more, and Python would refuse to print it.
    return {"i": str(value)} if value.bit_length() < 1300 else {"f": "inf" if value > 0 else "-inf"}


def _encode_float(value: float) -> Any:
    if math.isfinite(value):
        return value
    return {"f": "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"}


def _encode_other(path: str, value: Any) -> Any:
    if isinstance(value, str):
        inner = getattr(value, "value", None)  # an enum whose members are texts
        return encode_attribute(path, str(inner) if isinstance(inner, str) else str.__str__(value))
    if isinstance(value, int):
        return _encode_integer(int(value))
    if isinstance(value, float):
        return _encode_float(float(value))
    if isinstance(value, Mapping):
        return "{}"
    timestamp = getattr(value, "timestamp", None)
    if callable(timestamp) and hasattr(value, "isoformat"):
        return {"t": timestamp() * 1000.0}
    if isinstance(value, (list, tuple, set, frozenset)):
        return _encode_list(path, sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value))
    item = getattr(value, "item", None)
    if callable(item):
        if (getattr(value, "size", None) == 1) or getattr(value, "shape", None) == ():
            return encode_attribute(path, item())
        shape = getattr(value, "shape", None)
        return f"array of shape {tuple(shape)}" if shape is not None else _clip(path, str(value))
    return _clip(path, redact_value(path, _text_of(value)))


def _encode_list(path: str, items: list[Any]) -> Any:
    if all(isinstance(item, str) for item in items):
        if len(items) > LIST_LIMIT:
            warn_once(
                "long-list",
                f"the list {path!r} has {len(items)} texts; an attribute keeps the first {LIST_LIMIT}. Longer lists are cut.",
            )
        return [_clip(path, redact_value(path, item)) for item in items[:LIST_LIMIT]]
    try:
        text = json.dumps(items, default=_text_of, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = _text_of(items)
    return _clip(path, redact_value(path, text))


def _text_of(value: Any) -> str:
    """An object as text: a function or class by its name, so that no memory address is recorded."""
    name = getattr(value, "__qualname__", None)
    if isinstance(name, str):
        return f"{getattr(value, '__module__', '')}.{name}".lstrip(".")
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"


def _clip(path: str, text: str) -> str:
    if len(text) * 4 <= TEXT_LIMIT:
        return text
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= TEXT_LIMIT:
        return text
    warn_once(
        "long-text",
        f"the text of {path!r} has {len(encoded)} bytes; an attribute keeps the first {TEXT_LIMIT}. Longer texts are cut.",
    )
    return encoded[:TEXT_LIMIT].decode("utf-8", "ignore")
