"""Writes v1.json: a file of three chunks and its chunk list, after docs/formats/files.md. Run it to see that nothing changes."""

from __future__ import annotations

import hashlib
import json
import pathlib
import struct

CHUNK = 8 * 1024 * 1024
LINE = b"fieldbook chunks\n"  # 17 bytes: no two chunks begin alike
SIZE = 2 * CHUNK + 5


def content() -> bytes:
    return (LINE * (SIZE // len(LINE) + 1))[:SIZE]


def golden() -> dict[str, object]:
    data = content()
    chunks = [hashlib.sha256(data[at : at + CHUNK]).digest() for at in range(0, SIZE, CHUNK)]
    listed = b"FBC1" + struct.pack("<Q", SIZE) + b"".join(chunks)
    return {
        "line": LINE.decode(),
        "size": SIZE,
        "digest": hashlib.sha256(data).hexdigest(),
        "chunks": [chunk.hex() for chunk in chunks],
        "list": listed.hex(),
        "listDigest": hashlib.sha256(listed).hexdigest(),
    }


if __name__ == "__main__":
    place = pathlib.Path(__file__).with_name("v1.json")
    place.write_text(json.dumps(golden(), indent=2) + "\n")
