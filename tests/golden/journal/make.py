"""Makes the golden journals: ``python tests/golden/journal/make.py`` writes every ``*.fbj`` and its ``*.json``.

Nonces, times and ids are fixed, so running it again changes nothing; a change is a change of the format. The bytes
come from the encoders, except where a file is damaged on purpose. The expectations are those of the Python reader and
are read by the tests of both languages; look at the difference before committing one.
"""

from __future__ import annotations

import json
import math
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "packages/python-client/src"))

from fieldbook import journal, journal_reader  # noqa: E402

WRITER = "01kaq5r0000123456789abcdef"
RUN = "01kaq5qzzzabcdefghjkmnpqrs"
START = 1_764_000_000_000.0
TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "train.py", line 31, in <module>\n'
    "    step(batch)\n"
    'ValueError: loss is not finite: "∞"\n'
)


class File:
    """A journal under construction, with a clock that ticks 250 ms a record."""

    def __init__(self, seed: int, number: int = 0, first: int = 0, minor: int = 0) -> None:
        self.nonce = bytes((seed * 37 + index * 11) % 256 for index in range(16))
        self.check = zlib.crc32(self.nonce)
        self.sequence = first
        self.data = bytearray(journal.header(self.nonce, number, first, WRITER))
        self.data[5] = minor  # most files here were written by the first version, and stay as it wrote them
        self.data[68:72] = zlib.crc32(self.data[:68]).to_bytes(4, "little")
        self.offsets: list[int] = []

    @property
    def now(self) -> float:
        return START + 250.0 * self.sequence

    def add(self, kind: int, payload: bytes) -> None:
        self.offsets.append(len(self.data))
        self.data += journal.frame(self.check, self.sequence, kind, payload)
        self.sequence += 1

    def json(self, kind: int, value: dict[str, Any]) -> None:
        self.add(kind, journal.to_json(value))

    def meta(self, **changes: Any) -> None:
        self.json(journal.META, {**META, **changes})

    def declare(self, *names: tuple[int, str]) -> None:
        self.add(journal.DECLARE, journal.declare(names))

    def log(self, step: float, points: dict[int, float]) -> None:
        self.add(journal.SCALARS, journal.scalars(self.now, step, list(points), list(points.values())))

    def close(self, **changes: Any) -> None:
        self.json(journal.CLOSE, {**CLOSE, "time": self.now, **changes})

    def break_record(self, index: int) -> None:
        self.data[self.offsets[index] + 12] ^= 0x10


META: dict[str, Any] = {
    "project": "Digits",
    "project_id": "digits",
    "run": RUN,
    "writer": WRITER,
    "created": START,
    "name": "plain",
    "group": None,
    "notes": None,
    "tags": ["baseline"],
    "parent": None,
    "forked": False,
    "host": "box",
    "user": "ada",
    "pid": 4242,
    "pid_start": 123456,
    "boot": "11111111-2222-3333-4444-555555555555",
    "pid_ns": 4026531836,
    "lock": "ofd",
    "heartbeat": None,
    "rank": None,
    "local_rank": None,
    "world_size": None,
    "argv": ["train.py", "--token=[redacted]"],
    "cwd": "/home/ada/digits",
    "python": "3.11.7",
    "platform": "linux",
    "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "branch": "main"},
    "client": "0.1.0",
}
CLOSE = {
    "status": "finished",
    "exit_code": 0,
    "signal": None,
    "error": None,
    "traceback": None,
    "dropped": 0,
    "points": 0,
}


def plain() -> File:
    file = File(1)
    file.meta()
    file.json(
        journal.ATTRS,
        {
            "time": file.now,
            "set": {
                "params/lr": 0.001,
                "params/layers": ["64", "64"],
                "params/seed": {"i": "18446744073709551616"},
                "params/clip": {"f": "inf"},
                "params/warmup": None,
                "params/amp": True,
                "data/taken": {"t": START},
                "scratch/a": 1,
                "scratch/b": 2,
            },
            "del": [],
        },
    )
    file.json(journal.ATTRS, {"time": file.now, "set": {}, "del": ["scratch"]})
    file.json(journal.TAGS, {"time": file.now, "add": ["digits"], "remove": ["baseline"]})
    file.declare((0, "train/loss"), (1, "val/accuracy"))
    for step in range(5):
        file.log(step, {0: 2.0 / (step + 1)})
    file.log(5, {0: 0.3, 1: 0.9})
    file.add(journal.STEPPED, journal.stepped(file.now, [0, 1], [6, 1], [0.29, 0.91]))
    file.add(journal.HEARTBEAT, journal.heartbeat(file.now))
    file.json(journal.STATUS, {"time": file.now, "status": "running"})
    file.close(points=9)
    return file


def numbers() -> File:
    """NaN, infinities, -0, float64 steps, repeated and out-of-order steps, extremes."""
    file = File(2)
    file.meta(name="numbers")
    file.declare((7, "x"))
    for step, value in [
        (0, math.nan),
        (1, math.inf),
        (2, -math.inf),
        (3, -0.0),
        (3, 1.0),
        (2.5, 5e-324),
        (-1, 1.7976931348623157e308),
        (9007199254740992, 0.1),
        (0.1, 3),
    ]:
        file.log(step, {7: value})
    file.close(points=9)
    return file


def torn() -> File:
    file = plain()
    del file.data[file.offsets[-1] + 20 :]
    return file


def torn_in_length() -> File:
    file = plain()
    del file.data[file.offsets[-1] + 3 :]
    return file


def torn_check() -> File:
    """The last record has all its bytes, but the second half of them never reached the disk."""
    file = plain()
    half = (file.offsets[-1] + len(file.data)) // 2
    file.data[half:] = bytes(len(file.data) - half)
    return file


def zeros() -> File:
    file = numbers()
    del file.data[file.offsets[-1] :]
    file.data += bytes(4096)
    return file


def corrupt_middle() -> File:
    """Records 6 and 7 are hit; the ones behind them can be salvaged."""
    file = plain()
    file.break_record(6)
    file.break_record(7)
    return file


def corrupt_length() -> File:
    file = plain()
    struct.pack_into("<I", file.data, file.offsets[5], 0x7FFFFFFF)
    return file


def damaged_plausible_length() -> File:
    """A length that reaches beyond the end looks like a torn tail until salvage finds what lies behind it."""
    file = plain()
    struct.pack_into("<I", file.data, file.offsets[5], 100_000)
    return file


def corrupt_to_the_end() -> File:
    """Nothing behind the damage validates."""
    file = plain()
    for index in range(6, len(file.offsets)):
        file.break_record(index)
    return file


def moved() -> File:
    """A record repeated from earlier in the same file does not validate: its sequence number is another one."""
    file = numbers()
    repeated = bytes(file.data[file.offsets[2] : file.offsets[3]])
    file.data[file.offsets[4] : file.offsets[5]] = repeated
    return file


def unknown_type() -> File:
    file = File(3)
    file.meta(name="from a newer version")
    file.declare((0, "a"))
    file.log(0, {0: 1.0})
    file.add(77, b"what comes after us")
    file.add(255, b"")
    file.log(1, {0: 2.0})
    file.data[5] = 9  # a newer minor version, with a longer header
    old = len(file.data)
    head = bytearray(file.data[:68]) + b"more" * 4
    struct.pack_into("<H", head, 6, len(head) + 4)
    file.data[:72] = head + zlib.crc32(head).to_bytes(4, "little")
    assert len(file.data) == old + 16
    return file


def malformed() -> File:
    """Valid checks over payloads that their types do not allow."""
    file = File(4)
    file.meta(name="malformed")
    file.add(journal.ATTRS, b"{not json")
    file.add(journal.TAGS, b"[1]")
    file.add(journal.SCALARS, bytes(17))
    file.add(journal.DECLARE, b"\0\0\0\0\xff\xffshort")
    file.declare((0, "a"))
    file.declare((0, "b"))
    file.log(0, {0: 1.0, 5: 2.0})
    file.log(math.inf, {0: 1.0})
    file.add(journal.STEPPED, journal.stepped(file.now, [0, 0], [1, math.nan], [3, 4]))
    file.log(1, {})
    file.add(journal.HEARTBEAT, b"")
    file.add(journal.DECLARE, struct.pack("<IH", 3, 2) + b"\xff\xfe")
    file.close(points=2)
    return file


def unicode() -> File:
    file = File(5)
    file.meta(name="Größe 🌾", user="žofie", tags=["日本語", "naïve"], project="Été à Łódź", project_id="été-à-łódź")
    file.json(
        journal.ATTRS, {"time": file.now, "set": {"params/δ": "π ≈ 3.14159", "note": 'tab\t"quote"\u2028'}, "del": []}
    )
    file.declare((0, "verlust/größe"), (1, "🌾/鋭さ"))
    file.log(0, {0: 1.5, 1: -2.5})
    file.close(points=2)
    return file


def rotation_0() -> File:
    file = File(6)
    file.meta(name="rotation")
    file.declare((0, "loss"), (1, "only/first"))
    file.log(0, {0: 1.0, 1: 1.0})
    file.log(1, {0: 0.5})
    file.add(journal.ROTATED, journal.rotated(file.now, 1))
    return file


def rotation_1() -> File:
    first = rotation_0()
    file = File(7, number=1, first=first.sequence)
    file.meta(name="rotation")
    file.declare((0, "loss"))
    file.log(2, {0: 0.25})
    file.declare((2, "only/second"))
    file.log(3, {0: 0.125, 2: 9.0})
    file.close(points=6)
    return file


def gap() -> File:
    file = File(8)
    file.meta(name="gap")
    file.declare((0, "loss"))
    file.log(0, {0: 1.0})
    file.json(
        journal.GAP,
        {
            "time": file.now,
            "records": 12,
            "points": 15,
            "reason": "ENOSPC",
            "from": START + 600.0,
            "to": START + 700.0,
        },
    )
    file.log(13, {0: 0.5})
    file.close(dropped=15, points=17)
    return file


def failed() -> File:
    file = File(9)
    file.meta(name="failed")
    file.declare((0, "loss"))
    file.log(0, {0: math.inf})
    file.close(status="failed", exit_code=1, error='ValueError: loss is not finite: "∞"', traceback=TRACEBACK, points=1)
    return file


DIGEST = "3f" * 32


def files() -> File:
    """Files in the spool folder and named ones, versions, and the removal of a path that the writer never set."""
    file = File(11, minor=1)
    file.meta(name="files")
    file.json(
        journal.FILE,
        {
            "time": file.now,
            "path": "checkpoints/last",
            "name": "größe.pt",
            "spool": "000001-last.pt",
            "size": 12_345_678_901,
            "mtime": START - 0.5,
            "sha256": None,
            "mime": "application/octet-stream",
            "kind": "model",
            "meta": {"framework": "torch", "tensors": 12},
            "travel": "request",
        },
    )
    file.json(
        journal.FILE,
        {
            "time": file.now,
            "path": "data/train",
            "name": "train",
            "spool": None,
            "source": "s3://bucket/train",
            "size": None,
            "mtime": None,
            "sha256": DIGEST,
            "mime": None,
            "kind": "file",
            "meta": None,
            "travel": None,
        },
    )
    file.json(journal.FILE, {"path": "checkpoints/last", "name": "a", "spool": "_b-2.C"})
    file.json(journal.ATTRS, {"time": file.now, "set": {}, "del": ["checkpoints", "params/of-another-writer"]})
    file.close()
    return file


def objects() -> File:
    file = File(12, minor=1)
    file.meta(name="objects")
    file.json(
        journal.OBJECT, {"time": file.now, "path": "samples", "step": 0, "kind": "text", "text": "first ∞\nsecond"}
    )
    image = {"spool": "a.png", "name": "a.png", "size": 70, "mime": "image/png", "sha256": DIGEST}
    file.json(
        journal.OBJECT,
        {
            "time": file.now,
            "path": "images",
            "step": 0.5,
            "kind": "image",
            "file": image,
            "meta": {"caption": "a cat", "width": 8, "height": 8},
        },
    )
    histogram = {"edges": [0, 0.5, 1], "counts": [3, 4]}
    file.json(journal.OBJECT, {"time": file.now, "path": "weights", "step": 1, "kind": "histogram", "data": histogram})
    table = {"columns": ["id", "ok"], "rows": [[1, True], ["zwei", None]]}
    file.json(journal.OBJECT, {"time": file.now, "path": "table", "step": -1, "kind": "table", "data": table})
    file.json(journal.OBJECT, {"time": file.now, "path": "newer", "step": 0, "kind": "hologram", "data": {"depth": 3}})
    file.close()
    return file


def console() -> File:
    """Lines, unfinished lines, a notice, escape sequences and an empty line."""
    file = File(13, minor=1)
    file.meta(name="console")
    file.add(journal.CONSOLE, journal.console(file.now, journal.STDOUT, 0, "epoch 1\n\n\x1b[32mok\x1b[0m 日本"))
    file.add(journal.CONSOLE, journal.console(file.now, journal.STDERR, journal.CONSOLE_OPEN, " 12%|█▏"))
    file.add(journal.CONSOLE, journal.console(file.now, journal.STDERR, journal.CONSOLE_OPEN, " 99%|█▊"))
    file.add(journal.CONSOLE, journal.console(file.now, journal.STDERR, 0, "100%|██"))
    file.add(journal.CONSOLE, journal.console(file.now, journal.STDOUT, journal.CONSOLE_GAP, "9 lines were left out"))
    file.add(journal.CONSOLE, journal.console(file.now, journal.TERMINAL, 0x80, ""))
    file.close()
    return file


def capture() -> File:
    file = File(14, minor=1)
    file.meta(name="capture", role="system")
    file.json(
        journal.CAPTURE, {"time": file.now, "section": "git", "data": {"commit": "01" * 20, "dirty": True, "n": None}}
    )
    file.json(journal.CAPTURE, {"time": file.now, "section": "gpus", "data": {}})
    file.json(journal.CAPTURE, {"time": file.now, "section": "git", "data": {"commit": None}})
    file.close()
    return file


def preempted() -> File:
    file = File(15, minor=1)
    file.meta(name="preempted")
    file.json(journal.STATUS, {"time": file.now, "status": "preempted", "signal": 15, "reason": "SIGTERM of SLURM"})
    file.close(status="preempted", signal=15, exit_code=None)
    return file


def malformed_minor_1() -> File:
    """Valid checks over payloads that the types of minor 1 do not allow. Those that are too large are in each language's own tests."""
    file = File(16, minor=1)
    file.meta(name="malformed")
    good = {"time": file.now, "path": "a", "name": "a", "spool": None}
    for change in [{"path": 1}, {"name": None}, {"spool": "../a"}, {"spool": ".a"}, {"spool": "a" * 121}, {"spool": 1}]:
        file.json(journal.FILE, {**good, **change})
    file.add(journal.FILE, b"[]")
    point = {"time": file.now, "path": "a", "step": 0, "kind": "text", "text": "a"}
    for change in [
        {"path": None},
        {"kind": 1},
        {"step": None},
        {"step": "1"},
        {"step": True},
        {"text": None},
        {"file": "a.png"},
        {"file": {"name": "a.png"}},
        {"file": {"spool": "a/b"}},
    ]:
        file.json(journal.OBJECT, {**point, **change})
    file.add(journal.OBJECT, b'{"path":"a","step":1e999,"kind":"text","text":"a"}')
    for section in ["Git", "", "a" * 65, None, "a b"]:
        file.json(journal.CAPTURE, {"time": file.now, "section": section, "data": {}})
    file.json(journal.CAPTURE, {"time": file.now, "section": "git", "data": []})
    file.add(journal.CONSOLE, journal.console(file.now, 0, 0, "a"))
    file.add(journal.CONSOLE, journal.console(file.now, 4, 0, "a"))
    file.add(journal.CONSOLE, journal.console(file.now, 1, 0, "a")[:9])
    file.add(journal.CONSOLE, journal.console(file.now, 1, 0, "a") + b"\xff")
    file.close()
    return file


def header_only() -> File:
    return File(10)


FILES = {
    "plain": plain,
    "numbers": numbers,
    "torn": torn,
    "torn-in-length": torn_in_length,
    "torn-check": torn_check,
    "zeros": zeros,
    "corrupt-middle": corrupt_middle,
    "corrupt-length": corrupt_length,
    "corrupt-plausible-length": damaged_plausible_length,
    "corrupt-to-the-end": corrupt_to_the_end,
    "moved-record": moved,
    "unknown-type": unknown_type,
    "malformed": malformed,
    "unicode": unicode,
    "rotation-0": rotation_0,
    "rotation-1": rotation_1,
    "gap": gap,
    "failed": failed,
    "files": files,
    "objects": objects,
    "console": console,
    "capture": capture,
    "preempted": preempted,
    "malformed-minor-1": malformed_minor_1,
    "header-only": header_only,
}


def plain_json(value: Any) -> Any:
    """JSON that every language reads alike: floats that JSON cannot say, and -0, are strings."""
    if isinstance(value, float):
        if math.isnan(value):
            return "nan"
        if math.isinf(value):
            return "inf" if value > 0 else "-inf"
        if value == 0 and math.copysign(1, value) < 0:
            return "-0"
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    if isinstance(value, dict):
        return {key: plain_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(item) for item in value]
    return value


def expectation(data: bytes) -> dict[str, Any]:
    """What a reader finds in a whole, finished file."""
    found = journal_reader.read(data)
    return {
        "header": {
            "writer": found.writer,
            "nonce": found.nonce.hex(),
            "number": found.number,
            "first": found.first,
            "minor": found.minor,
        },
        "records": [
            {
                "sequence": record.sequence,
                "offset": record.offset,
                "type": record.name,
                **({"malformed": True} if record.malformed else {"data": plain_json(record.data)}),
            }
            for record in found.records
        ],
        "state": found.state,
        "offset": found.offset,
        "sequence": found.sequence,
        "salvage": found.salvage and {"offset": found.salvage[0], "sequence": found.salvage[1]},
        "unknown": found.unknown,
        "malformed": found.malformed,
    }


if __name__ == "__main__":
    for name, make in FILES.items():
        data = bytes(make().data)
        (HERE / f"{name}.fbj").write_bytes(data)
        text = json.dumps(expectation(data), indent=1, ensure_ascii=False, allow_nan=False)
        (HERE / f"{name}.json").write_text(text + "\n", encoding="utf-8")
