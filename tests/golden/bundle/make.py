"""Writes v1.0, v1.0-signed and v1.0-sealed (`.fieldbook` and `.json`): a bundle of one edit, two records and a blob, plain, signed, and signed behind a
passphrase, after docs/formats/bundle.md alone. What it has sealed it opens again, and checks the signature, by code of its own."""

from __future__ import annotations

import hashlib
import json
import pathlib
import struct
import unicodedata
import zlib

import crypto

EDIT = "01kf0000000000000000000001"
RECORD = bytes.fromhex(
    "0176090164771964303030303030303030303030303030303030303030303030016677047461677301687710303139"
    "626331383664653031303030300169771a30316b6630303030303030303030303030303030303030303031016b7704"
    "65646974016f77036164640172770572756e2d31017677076772c3b6c39f6501797703616461"
)
# A Yjs update (V1) of client 77: that edit under its id in the map `edits`.
UPDATE = bytes.fromhex("01014d0023010565646974731a") + EDIT.encode() + bytes.fromhex("8401") + RECORD + b"\x00"
BLOB = bytes(range(256)) * 4


def varuint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def varbytes(data: bytes) -> bytes:
    return varuint(len(data)) + data


def text(value: str) -> bytes:
    return varbytes(value.encode())


def value(of: object) -> bytes:
    """lib0's `any`, as docs/formats/record.md has it."""
    if isinstance(of, bool):
        return b"\x78" if of else b"\x79"
    if isinstance(of, int):
        if of < 2**31:
            low, rest = of & 63, of >> 6
            return b"\x7d" + (bytes([low]) if rest == 0 else bytes([low | 128]) + varuint(rest))
        return b"\x7b" + struct.pack(">d", of)
    if isinstance(of, str):
        return b"\x77" + text(of)
    if isinstance(of, list):
        return b"\x75" + varuint(len(of)) + b"".join(value(each) for each in of)
    if isinstance(of, dict):
        return b"\x76" + varuint(len(of)) + b"".join(text(key) + value(of[key]) for key in sorted(of))
    raise TypeError(of)


def section(kind: int, payload: bytes, *, pack: bool = False, flags: int = 0x80) -> bytes:
    stored = payload
    if pack:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        stored = packer.compress(payload) + packer.flush()
        flags |= 1
    head = struct.pack("<BBHII", kind, flags, 0, len(stored), len(payload))
    return head + struct.pack("<I", zlib.crc32(head + stored)) + stored


SEED = bytes(range(32, 64))
PASSPHRASE = "Größe 42 \u212b"  # the Ångström sign, which NFKC makes a letter
DOMAIN = b"fieldbook bundle signature v1\n"


def header(flags: int) -> bytes:
    head = b"\x89FBB\r\n\x1a\n" + struct.pack("<BBH", 1, 0, flags) + bytes(range(16))
    return head + struct.pack("<I", zlib.crc32(head))


def sealed(plain: bytes, chunk: int = 65536) -> bytes:
    salt = bytes(range(100, 132))
    log_n = 10
    secret = unicodedata.normalize("NFKC", PASSPHRASE).encode()
    material = hashlib.scrypt(secret, salt=salt, n=2**log_n, r=8, p=1, dklen=67)
    key, prefix, check = material[:32], material[32:51], material[51:]
    parameters = bytes([1, log_n, 8, 1, 1, 0, 0, 0]) + salt + check + bytes(4)
    preamble = header(0x0101) + parameters + struct.pack("<I", zlib.crc32(parameters))
    parts = [plain[at : at + chunk] for at in range(0, len(plain), chunk)]
    out, back = preamble, b""
    for number, part in enumerate(parts):
        nonce = prefix + struct.pack(">I", number) + bytes([number == len(parts) - 1])
        closed = crypto.seal(key, nonce, preamble, part)
        back += crypto.open_sealed(key, nonce, preamble, closed)
        out += closed
    assert back == plain
    return out


def golden(*, signed: bool = False) -> tuple[bytes, dict[str, object]]:
    head = header(0x0100 if signed else 0)
    manifest = {
        "p": "fieldbook/0.1.0", "t": 1768478400000, "y": "Ada", "d": "d" + "0" * 24, "n": "gpu-1",
        "w": "01kf0000000000000000000000", "W": "Lab", "s": "runs", "S": "größe", "q": "tags has größe",
        "P": [["größe", "Größe", 1]], "c": 1, "r": [["run-1", "größe", "first", "finished", 1768478400000]],
        "D": 1, "B": 1, "f": len(UPDATE), "b": len(BLOB), "a": 2, "k": 1, "x": 0, "later": "kept",
    }  # fmt: skip
    digest = hashlib.sha256(BLOB).digest()
    name = "book/größe/2026-01"
    records = text("book/größe/0000-01") + varuint(1) + text("edits") + text(EDIT) + varbytes(RECORD)
    body = [
        section(1, b"\x01" + value(manifest)),
        section(3, records),
        section(2, text(name) + varuint(0) + varbytes(UPDATE), pack=True),
        section(77, b"of a newer version", flags=0),
        section(4, digest + BLOB, pack=True),
    ]
    if signed:
        message = DOMAIN + hashlib.sha256(head + b"".join(body)).digest()
        signature = crypto.sign(SEED, message)
        assert crypto.verify(crypto.public_key(SEED), message, signature)
        body.append(section(5, b"\x01" + crypto.public_key(SEED) + signature, flags=0))
    whole = head + b"".join(body)
    counts = b"".join(varuint(each) for each in (len(whole), len(body), 1, 1, 1))
    end = section(0x45, counts + hashlib.sha256(whole).digest())
    expected = {
        "bytes": len(whole) + len(end),
        "manifest": manifest,
        "documents": [{"name": name, "generation": 0, "update": UPDATE.hex()}],
        "records": [{"document": "book/größe/0000-01", "map": "edits", "key": EDIT, "bytes": RECORD.hex()}],
        "blobs": [{"digest": digest.hex(), "bytes": BLOB.hex()}],
        "unknown": 1,
    }
    if signed:
        expected["signer"] = crypto.public_key(SEED).hex()
    return whole + end, expected


def write(name: str, data: bytes, expected: dict[str, object]) -> None:
    place = pathlib.Path(__file__).with_name(f"{name}.fieldbook")
    place.write_bytes(data)
    text = json.dumps(expected, indent=2, ensure_ascii=False) + "\n"
    place.with_name(f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write("v1.0", *golden())
    data, expected = golden(signed=True)
    write("v1.0-signed", data, expected)
    closed = sealed(data)
    write("v1.0-sealed", closed, {**expected, "bytes": len(closed), "passphrase": PASSPHRASE})
