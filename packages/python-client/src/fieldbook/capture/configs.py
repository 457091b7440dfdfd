"""Configuration files that a command line names: found, read, and flattened into attributes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence

from .. import values
from ..secret_files import is_secret_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SUFFIXES = (".yaml", ".yml", ".json", ".toml")
FILE_BYTES = 1024 * 1024
FILES = 20
#: Values of one file that become attributes. A file with more is a table, not a configuration; it is kept as a file.
VALUES = 500
#: Their command line is written by a front end, and names the file with the key of the kernel.
_KERNELS = ("ipykernel_launcher.py", "colab_kernel_launcher.py")


def named(argv: Sequence[str], folder: str | None = None) -> list[str]:
    """Paths of the configuration files among the words of a command line, ``--config=x.yaml`` and ``@x.json`` included."""
    found: list[str] = []
    if argv and os.path.basename(argv[0]) in _KERNELS:
        return found
    for word in argv[1:]:
        for text in (word, word.partition("=")[2], word.lstrip("@")):
            if not text.lower().endswith(SUFFIXES) or is_secret_file(text):
                continue
            path = os.path.abspath(os.path.join(folder or "", os.path.expanduser(text)))
            try:
                fits = os.path.isfile(path) and os.path.getsize(path) <= FILE_BYTES
            except OSError:
                continue
            if fits and path not in found:
                found.append(path)
    return found[:FILES]


def parse(path: str, content: bytes) -> tuple[Any, str | None]:
    """The content of a configuration file, or None and why it could not be read."""
    suffix = os.path.splitext(path)[1].lower()
    try:
        if suffix == ".json":
            return json.loads(content), None
        if suffix == ".toml":
            try:
                import tomllib
            except ImportError:
                return None, "TOML is read by Python 3.11 and newer"
            return tomllib.loads(content.decode()), None
        try:
            import yaml  # type: ignore[import-untyped,unused-ignore]
        except ImportError:
            return None, "YAML is read where a yaml module is installed"
        return yaml.safe_load(content), None
    except RecursionError:
        return None, "nested too deeply"
    except Exception as error:  # each of the three has errors of its own
        return None, f"{type(error).__name__}: {str(error)[:200]}"


def attributes(path: str, content: Any) -> tuple[dict[str, Any], str | None]:
    """Values as attributes ``config/<stem>/…``, encoded and redacted; and a note when some are left out."""
    stem = os.path.splitext(os.path.basename(path))[0]
    if values.members_of(content) is None:
        return {}, "not a mapping"
    return encode(values.flatten(content, f"config/{stem}", "config"))


def encode(leaves: Iterable[tuple[str, Any]], limit: int = VALUES) -> tuple[dict[str, Any], str | None]:
    """``{path: value}`` as ATTRS has it, of the leaves that can be said; and a note when others cannot."""
    found: dict[str, Any] = {}
    odd = 0
    try:
        for path, leaf in leaves:
            if len(found) >= limit:
                return found, f"more than {limit} values: the rest is only in the file"
            try:
                found[values.check_path(path, "config")] = values.encode_attribute(path, leaf)
            except (TypeError, ValueError):
                odd += 1
    except (TypeError, ValueError) as error:
        return found, str(error)[:200]
    return found, f"{odd} values have no usable name or are not values" if odd else None
