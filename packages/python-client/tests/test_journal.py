"""The format itself: golden files, the reader's judgement, the dump."""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from fieldbook import environment, journal, journal_reader
from support import SOURCE

GOLDEN = Path(__file__).resolve().parents[3] / "tests/golden/journal"
FILES = sorted(GOLDEN.glob("*.fbj"))


def _maker() -> Any:
    spec = importlib.util.spec_from_file_location("golden_make", GOLDEN / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = _maker()


def test_the_golden_files_are_what_their_script_makes() -> None:
    """[JRN-1]"""
    assert {file.stem for file in FILES} == set(make.FILES)
    for name, build in make.FILES.items():
        assert (GOLDEN / f"{name}.fbj").read_bytes() == bytes(build().data), name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_golden_files_say_what_is_expected(file: Path) -> None:
    """[JRN-1]"""
    assert make.expectation(file.read_bytes()) == json.loads(file.with_suffix(".json").read_text("utf-8"))


@pytest.mark.parametrize(("name", "expected"), json.loads((GOLDEN / "project-ids.json").read_text("utf-8")))
def test_project_ids_are_those_of_core(name: str, expected: str | None) -> None:
    """[JRN-2]"""
    if expected is None:
        with pytest.raises(ValueError, match="project"):
            environment.project_id(name)
    else:
        assert environment.project_id(name) == expected
        assert environment.project_id(expected) == expected


def test_every_cut_of_a_file_keeps_its_whole_records() -> None:
    """[JRN-3]"""
    data = (GOLDEN / "plain.fbj").read_bytes()
    whole = journal_reader.read(data)
    ends = [*(record.offset for record in whole.records), len(data)]
    for cut in range(journal.HEADER_SIZE, len(data) + 1):
        found = journal_reader.read(data[:cut])
        last = max(end for end in ends if end <= cut)
        assert (found.offset, found.records) == (last, whole.records[: ends.index(last)])
        assert found.state == ("clean" if cut == last else "torn")


def test_damage_is_never_believed() -> None:
    """[JRN-9]"""
    dice = random.Random(7)
    for file in FILES:
        good = file.read_bytes()
        truth = {record.sequence: record.data for record in journal_reader.read(good).records}
        for _ in range(200):
            data = bytearray(good)
            for _ in range(dice.randint(1, 4)):
                data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            try:
                found = journal_reader.read(bytes(data))
            except journal_reader.JournalCorrupt:
                continue
            for record in found.records:
                assert repr(record.data) == repr(truth.get(record.sequence, record.data))


def test_ids_are_time_sortable_and_fit_their_pattern() -> None:
    ids = [environment.mint_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(len(one) == 26 and set(one) <= set("0123456789abcdefghjkmnpqrstvwxyz") for one in ids)
    assert [one[:10] for one in ids] == sorted(one[:10] for one in ids)


def _dump(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fieldbook", *arguments],
        env={"PYTHONPATH": str(SOURCE), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_dump() -> None:
    done = _dump("dump", str(GOLDEN / "unicode.fbj"))
    lines = [json.loads(line) for line in done.stdout.strip().split("\n")]
    assert done.returncode == 0
    assert [line["type"] for line in lines] == ["META", "ATTRS", "DECLARE", "SCALARS", "CLOSE"]
    assert lines[0]["name"] == "Größe 🌾"
    torn = _dump("dump", str(GOLDEN / "torn.fbj"))
    assert (torn.returncode, "torn at byte" in torn.stderr) == (0, True)
    assert _dump("dump", str(GOLDEN / "corrupt-middle.fbj")).returncode == 1
    assert _dump("dump", "/nowhere.fbj").returncode == 1
    assert _dump("dump").returncode == 2
    assert _dump("--help").returncode == 0


def test_what_is_too_large_is_malformed() -> None:
    """[JRN-16]"""
    nonce = bytes(16)

    def malformed(kind: int, payload: bytes) -> bool:
        data = journal.header(nonce, 0, 0, "01kaq5r0000123456789abcdef")
        data += journal.frame(zlib.crc32(nonce), 0, kind, payload)
        (record,) = journal_reader.read(data).records
        return record.malformed

    for size, expected in [(journal.TEXT_LIMIT, False), (journal.TEXT_LIMIT + 2, True)]:
        point = {"path": "a", "step": 0, "kind": "text", "text": "é" * (size // 2)}
        assert malformed(journal.OBJECT, journal.to_json(point)) is expected
    for size, expected in [(journal.CONSOLE_LIMIT, False), (journal.CONSOLE_LIMIT + 1, True)]:
        assert malformed(journal.CONSOLE, journal.console(1.0, journal.STDOUT, 0, "x" * size)) is expected
    for size, expected in [(journal.CAPTURE_LIMIT, False), (journal.CAPTURE_LIMIT + 1, True)]:
        assert malformed(journal.CAPTURE, b'{"section":"git","data":{}}'.ljust(size)) is expected
