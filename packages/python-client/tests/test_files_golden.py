"""The golden chunk list, read after docs/formats/files.md with nothing but the standard library."""

import hashlib
import json
import struct
from pathlib import Path

GOLDEN = Path(__file__).parents[3] / "tests" / "golden" / "files" / "v1.json"
CHUNK = 8 * 1024 * 1024


def test_golden_chunk_list() -> None:
    """[FIL-1] A chunk list is a magic, the size of the file and the SHA-256 of each 8 MiB."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    listed = bytes.fromhex(golden["list"])
    magic, size = struct.unpack_from("<4sQ", listed)
    assert (magic, size) == (b"FBC1", golden["size"])
    chunks = [listed[at : at + 32] for at in range(12, len(listed), 32)]
    line = golden["line"].encode()
    content = (line * (size // len(line) + 1))[:size]
    assert chunks == [hashlib.sha256(content[at : at + CHUNK]).digest() for at in range(0, size, CHUNK)]
    assert hashlib.sha256(listed).hexdigest() == golden["listDigest"]
    assert hashlib.sha256(content).hexdigest() == golden["digest"]
