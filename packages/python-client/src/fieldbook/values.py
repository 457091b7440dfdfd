"""What users hand in, made into what a journal holds; or a ``TypeError``/``ValueError`` that names the argument.

A metric's value must be one number: Python's, numpy's or a tensor's with one element (nothing is imported for that:
whatever has ``item()`` is asked). An attribute may be anything: numbers, texts, truth values, times and lists of texts
are themselves; days, paths, enums, classes, data types and other lists have a text that says all of them; of the rest
the text is kept and a flag with their type (``describe_attribute``).
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from .console import warn_once
from .journal import PATH_LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: A string parameter: a path, a command, a short prompt. Longer texts are cut, with one warning.
TEXT_LIMIT = 4096
#: Texts of one attribute; what is longer is data.
LIST_LIMIT = 1000
#: Elements of a list that are looked at; the JSON of more is longer than a text may be.
SCAN = 4096
#: Elements of an array that an attribute holds as a list.
ARRAY_LIMIT = 64
NAME_LIMIT = 512
NOTES_LIMIT = 64 * 1024
TAG_LIMIT = 128
TAGS_LIMIT = 256
#: Attributes set by one call; a larger mapping is data, not a description.
ATTRIBUTES_LIMIT = 50_000
#: Nesting of a mapping of attributes: beyond it somebody handed in a graph.
DEPTH_LIMIT = 32
#: Types of numbers remembered; a script may make classes for ever.
TYPES_LIMIT = 1000

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
    import unicodedata

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


#: Types met so far whose values are always one number.
SCALARS: set[type] = {int, float, bool}


def is_number(value: Any) -> bool:
    """Whether a value counts as one number: Python's, numpy's, a tensor or array of one element."""
    kind = type(value)
    if kind in SCALARS:
        return True
    if isinstance(value, (int, float)) or any(base.__name__ == "number" for base in kind.__mro__):  # numpy.number
        if len(SCALARS) < TYPES_LIMIT:
            SCALARS.add(kind)
        return True
    if kind is str or isinstance(value, str) or not hasattr(value, "item"):
        return False
    count = getattr(value, "numel", None)
    if callable(count):
        return bool(count() == 1)
    return getattr(value, "shape", None) == () or getattr(value, "size", None) == 1


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
    """``(path, leaf)`` of nested mappings, dataclasses, namespaces and lists of such (``layers/0/size``)."""
    return _flatten(value, prefix, argument, 0)


def _flatten(value: Any, prefix: str, argument: str, depth: int) -> Iterator[tuple[str, Any]]:
    if type(value) in _LEAVES:
        yield prefix, value
        return
    members = members_of(value)
    if members is None and is_sequence(value) and any(members_of(item) is not None for item in islice(value, SCAN)):
        members = dict(enumerate(value))
    if members is None or (not members and depth > 0):
        yield prefix, ({} if members is not None else value)
        return
    if depth > DEPTH_LIMIT:
        raise ValueError(f"{argument} is nested deeper than {DEPTH_LIMIT} levels")
    for key, item in members.items():
        text = key if isinstance(key, str) else str(key)
        path = f"{prefix}/{text}" if prefix else text
        yield from _flatten(item, path, argument, depth + 1)


_LEAVES = frozenset((str, int, float, bool, type(None), bytes))


def is_sequence(value: Any) -> bool:
    """A list, a tuple, or what behaves like one (``ListConfig``, ``range``); neither a text nor an array."""
    if isinstance(value, (list, tuple)):
        return True
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview))


def is_enum(value: Any) -> bool:
    """Whether a value is a member of an enum. A module that nobody imported has made none."""
    module = sys.modules.get("enum")
    return module is not None and isinstance(value, module.Enum)


def members_of(value: Any) -> Mapping[Any, Any] | None:
    """The named members of a mapping, namespace, named tuple, dataclass, attrs or pydantic object; else None.

    Nothing is imported for that: they are known by what they carry.
    """
    if isinstance(value, Mapping):
        return value
    kind = type(value)
    if kind in _LEAVES or isinstance(value, (type, list, set, frozenset)) or is_enum(value):
        return None
    # dataclasses, pydantic 2 and 1; the last name is asked for last because pydantic 2 warns of it
    known = ("__dataclass_fields__", "model_fields", "__fields__")
    fields = next((getattr(kind, name) for name in known if hasattr(kind, name)), None)
    if isinstance(fields, Mapping):
        return {name: getattr(value, name) for name in fields if hasattr(value, name)}
    names = getattr(kind, "__struct_fields__", None)  # msgspec
    attrs = getattr(kind, "__attrs_attrs__", None)
    if names is None and isinstance(attrs, tuple):
        names = [attribute.name for attribute in attrs]
    if names is None and isinstance(value, tuple):
        names = getattr(kind, "_fields", None)
    if names is not None:
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    if any(base.__name__ in ("Namespace", "SimpleNamespace") for base in kind.__mro__):
        return dict(vars(value))
    if hasattr(value, "keys") and hasattr(value, "__getitem__") and not hasattr(value, "shape"):
        try:  # what behaves like a mapping without being one: ml_collections' ConfigDict
            return {key: value[key] for key in value.keys()}  # noqa: SIM118
        except Exception:
            return None
    return None


def encode_attribute(path: str, value: Any) -> Any:
    """An attribute's JSON, as docs/formats/journal.md has it under ATTRS."""
    return describe_attribute(path, value)[0]


def describe_attribute(path: str, value: Any) -> tuple[Any, str | None]:
    """The same, and the type of a value that none of it can say and that was made into a text: the flag of a reader."""
    kind = type(value)
    if kind is str:
        return _clip(path, _redacted(path, value)), None
    if value is None or kind is bool:
        return value, None
    if kind is int:
        return _encode_integer(value), None
    if kind is float:
        return _encode_float(value), None
    for convert in (_encode_plain, _encode_time, _encode_collection, _encode_scalar):
        found = convert(path, value)
        if found is not _NOT_MINE:
            return found, None
    return _clip(path, _redacted(path, text_of(value))), _stringified(value)


_NOT_MINE: Any = object()


def _encode_integer(value: int) -> Any:
    if -_SAFE_INTEGER <= value <= _SAFE_INTEGER:
        return value
    # Beyond 400 digits it is no parameter any more, and Python would refuse to print it.
    return {"i": str(value)} if value.bit_length() < 1300 else {"f": "inf" if value > 0 else "-inf"}


def _encode_float(value: float) -> Any:
    if math.isfinite(value):
        return value
    return {"f": "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"}


def _encode_plain(path: str, value: Any) -> Any:
    """Subclasses of plain types, enums of texts and numbers among them; decimals."""
    if isinstance(value, str):
        inner = getattr(value, "value", None)  # an enum whose members are texts
        return encode_attribute(path, str(inner) if isinstance(inner, str) else str.__str__(value))
    if isinstance(value, int):
        return _encode_integer(int(value))
    if isinstance(value, float):
        return _encode_float(float(value))
    if isinstance(value, (bytes, bytearray)):
        try:
            text = bytes(value).decode()
        except UnicodeDecodeError:
            return _NOT_MINE
        return _NOT_MINE if _has_control(text) else _clip(path, _redacted(path, text))
    if type(value).__name__ == "Decimal":
        try:
            number = float(value)
            exact = not math.isfinite(number) or value == type(value)(repr(number))
        except (ValueError, ArithmeticError):
            return str(value)
        return _encode_float(number) if exact else str(value)
    return _NOT_MINE


def _encode_time(path: str, value: Any) -> Any:
    """Moments as moments, spans as seconds; a day and a time of day have no zone and are texts (``2026-05-03``)."""
    kind = type(value).__name__
    if kind in ("datetime64", "timedelta64") and hasattr(value, "astype"):
        if str(value) == "NaT":
            return None
        micros = float(value.astype(f"{kind}[us]").astype("int64"))
        return {"t": micros / 1000.0} if kind == "datetime64" else micros / 1e6
    if hasattr(value, "isoformat"):
        if kind == "NaTType":
            return None
        timestamp = getattr(value, "timestamp", None)
        try:
            return {"t": timestamp() * 1000.0} if callable(timestamp) else str(value.isoformat())
        except (ValueError, OverflowError, OSError):  # a year that the machine's clock does not know
            return str(value.isoformat())
    if kind in ("timedelta", "Timedelta") and hasattr(value, "total_seconds"):
        return _encode_float(float(value.total_seconds()))
    return _NOT_MINE


def _encode_collection(path: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, (set, frozenset)):
        return _encode_list(path, sorted(value, key=str))
    return _encode_list(path, value) if is_sequence(value) else _NOT_MINE


def _encode_scalar(path: str, value: Any) -> Any:
    """Scalars and small arrays of numpy, torch and their like; what prints as what it is."""
    item = getattr(value, "item", None)
    shape = getattr(value, "shape", None)
    if callable(item) and shape is not None:
        count = math.prod(shape)
        if shape == () or count == 1:
            inner = item()
            return encode_attribute(path, inner) if type(inner) is not type(value) else _NOT_MINE
        if count <= ARRAY_LIMIT and hasattr(value, "tolist"):
            return _encode_list(path, value.tolist())
        return _NOT_MINE
    if isinstance(value, (complex, os.PathLike)) or is_enum(value):
        text = os.fspath(value) if isinstance(value, os.PathLike) else str(value)
        return _clip(path, _redacted(path, text if isinstance(text, str) else os.fsdecode(text)))
    named = getattr(value, "__qualname__", None)
    if isinstance(named, str):
        return _NOT_MINE if "<" in named else _clip(path, text_of(value))
    # numpy.dtype, torch.dtype, torch.device, uuid.UUID, fractions.Fraction …
    if type(value).__name__.rpartition(".")[2].lower() in _PRINTABLE or "dtype" in type(value).__name__.lower():
        return _clip(path, _redacted(path, str(value)))
    return _NOT_MINE


#: Types whose text is all there is to them.
_PRINTABLE = frozenset(("device", "dtype", "memory_format", "layout", "uuid", "fraction", "version", "period"))


def _encode_list(path: str, given: Sequence[Any]) -> Any:
    """A list of texts as itself, any other as JSON text: ``[0.9, 0.99]``."""
    # A million numbers, or range(10**9), are not made into a text of which a thousandth is kept.
    items = list(islice(given, SCAN))
    if all(isinstance(item, str) for item in items):
        if len(given) > LIST_LIMIT:
            warn_once(
                "long-list",
                f"the list {path!r} has {len(given)} texts; an attribute keeps the first {LIST_LIMIT}. Longer lists are cut.",
            )
        return [_clip(path, _redacted(path, item)) for item in items[:LIST_LIMIT]]
    import json

    try:
        text = json.dumps(items, default=_json_of, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):
        text = text_of(items)
    return _clip(path, _redacted(path, text))


def _json_of(value: Any) -> Any:
    """What :mod:`json` asks about inside a list."""
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    if is_sequence(value):
        return list(value)
    found = encode_attribute("", value)
    return next(iter(found.values())) if isinstance(found, dict) else found


def _redacted(path: str, text: str) -> str:
    # Its patterns take 2 ms to compile, which `import fieldbook` does not spend.
    from .redaction import redact_value

    return redact_value(path, text)


def text_of(value: Any) -> str:
    """An object as text: a function or class by its name, and no memory address, which would differ from run to run."""
    name = getattr(value, "__qualname__", None)
    if isinstance(name, str):
        return f"{getattr(value, '__module__', '')}.{name}".lstrip(".")
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and hasattr(value, "dtype"):
        return f"array of shape {tuple(shape)}, {value.dtype}"
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value)} bytes"
    import re

    try:
        return re.sub(r" at 0x[0-9A-Fa-f]+", "", str(value))
    except Exception:
        return f"<{type(value).__name__}>"


def _stringified(value: Any) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}".replace(" ", "_").replace("builtins.", "")


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
