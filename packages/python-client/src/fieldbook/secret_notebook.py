"""Notebooks without secrets: what cells say is program text, what they have printed is console, within the JSON of the file."""

from __future__ import annotations

import json
from collections.abc import Callable

from .redaction import REDACTED, redact_lines, redact_source, redact_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def redact(content: bytes) -> tuple[bytes, int] | None:
    """The notebook's bytes and how many places changed; None when this is none. One without secrets keeps its bytes."""
    try:
        book = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(book, dict):
        return None
    before = json.dumps(book)
    cells = book.get("cells")
    for cell in cells if isinstance(cells, list) else ():
        if isinstance(cell, dict):
            _cell(cell)
    for key in [key for key in book if key != "cells"]:
        book[key] = _any(key, book[key])
    after = json.dumps(book)
    if after == before:
        return content, 0
    places = max(1, after.count(REDACTED) - before.count(REDACTED))
    return json.dumps(book, indent=1, ensure_ascii=False).encode("utf-8", "replace") + b"\n", places


def _cell(cell: dict[str, Any]) -> None:
    """Changes one cell in place."""
    code = cell.get("cell_type") == "code"
    if "source" in cell:
        cell["source"] = _text(cell["source"], _program if code else redact_lines)
    outputs = cell.get("outputs")
    for output in outputs if isinstance(outputs, list) else ():
        if not isinstance(output, dict):
            continue
        for key in ("text", "traceback", "evalue"):
            if key in output:
                output[key] = _text(output[key], redact_lines)
        data = output.get("data")
        if isinstance(data, dict):
            for kind in data:
                # Pictures and sounds are base64, in which a match would be chance.
                if not kind.startswith(("image/png", "image/jpeg", "image/gif", "audio/", "video/", "application/pdf")):
                    data[kind] = _text(data[kind], redact_lines) if kind.startswith("text/") else _any(kind, data[kind])
    for key in ("metadata", "attachments"):
        if key in cell and key != "attachments":
            cell[key] = _any(key, cell[key])


def _program(text: str) -> str:
    return redact_source(text.encode("utf-8", "surrogatepass"), "cell.py")[0].decode("utf-8", "surrogatepass")


def _text(said: Any, change: Callable[[str], str]) -> Any:
    """A text, or a list of its lines: a secret may be on two."""
    if isinstance(said, str):
        return change(said)
    if isinstance(said, list) and all(isinstance(line, str) for line in said):
        whole = "".join(said)
        changed = change(whole)
        return said if changed == whole else changed.splitlines(keepends=True)
    return said


def _any(path: str, said: Any, depth: int = 0) -> Any:
    if isinstance(said, str):
        return redact_value(path, said)
    if depth < 50 and isinstance(said, dict):
        return {key: _any(f"{path}/{key}", value, depth + 1) for key, value in said.items()}
    if depth < 50 and isinstance(said, list):
        return [_any(path, value, depth + 1) for value in said]
    return said
