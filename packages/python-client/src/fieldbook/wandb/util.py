"""``wandb.util``, as far as scripts use it."""

from __future__ import annotations

import os

from .missing import Nothing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def generate_id(length: int = 8) -> str:
    """A fresh run id of small letters and digits."""
    letters = "0123456789abcdefghijklmnopqrstuvwxyz"
    # 252 is the largest multiple of 36 in a byte: no letter is likelier than another.
    found = ""
    while len(found) < length:
        found += "".join(letters[byte % 36] for byte in os.urandom(length) if byte < 252)
    return found[:length]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return Nothing(f"util.{name}")
