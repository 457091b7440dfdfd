"""What TensorBoard event files say: golden files of the libraries that write them, and every other form by hand."""

from __future__ import annotations

import math
import random
import struct
from pathlib import Path
from typing import Any

import pytest

from fieldbook import tensorboard
from fieldbook.tensorboard_bytes import FRAME_LIMIT, Damaged, crc32c, frame_at, masked_crc
from fieldbook.tensorboard_names import Folders, path_of, tag_of
from tensorboard_support import GOLDEN, event, field, frame, one, points_of, scalar, tensor, value, varint

WHEN = 1_700_000_000_250.0


def golden(library: str, folder: str = "") -> list[tensorboard.Point]:
    (path,) = (GOLDEN / library / folder).glob("events.out.tfevents.*")
    return points_of(path.read_bytes())


@pytest.mark.parametrize("library", ["torch", "tensorboardX"])
def test_golden_files(library: str) -> None:
    """[TBD-1] Both libraries' scalars, texts, histograms and pictures, with their steps and times. [TBD-3]"""
    points = golden(library)
    by_tag: dict[str, list[tensorboard.Point]] = {}
    for point in points:
        by_tag.setdefault(point.tag, []).append(point)
    loss = by_tag["train/loss"]
    assert [(p.kind, p.step, p.time) for p in loss] == [("scalar", n, WHEN + 1000 * n) for n in range(3)]
    assert [p.value for p in loss] == [struct.unpack("<f", struct.pack("<f", 1 / n))[0] for n in (1, 2, 3)]
    (odd,) = by_tag["odd//tagé"]
    assert math.isnan(odd.value)
    assert odd.step == 5
    (big,) = by_tag["big"]
    assert (big.value, big.step) == (math.inf, 2**40)
    (note,) = by_tag["note/text_summary"]
    assert (note.kind, note.value, note.step) == ("text", "hello **wörld**", 2)
    (weights,) = by_tag["weights"]
    assert weights.kind == "histogram"
    edges, counts = weights.value["edges"], weights.value["counts"]
    assert len(edges) == len(counts) + 1
    assert (edges[0], edges[-1], sum(counts)) == (-3, 2, 5)
    # Each of -3, 0, 0, 1, 2 lies in a bin that counts it.
    for number, many in ((-3.0, 1), (0.0, 2), (1.0, 1), (2.0, 1)):
        assert any(low <= number <= high and count >= many for low, high, count in zip(edges, edges[1:], counts))
    (picture,) = by_tag["picture"]
    assert picture.kind == "image"
    assert picture.value.startswith(b"\x89PNG")
    assert (picture.meta["height"], picture.meta["width"]) == (4, 5)


def test_golden_tensors_and_audio() -> None:
    """[TBD-1] What only torch writes: scalars as tensors of three types, and audio."""
    found = {point.tag: point for point in golden("torch")}
    assert (found["new/style"].kind, found["new/style"].value) == ("scalar", 0.25)
    assert found["tensor/torch.float64"].value == 0.5
    assert found["tensor/torch.float16"].value == 0.5
    assert found["tone"].kind == "audio"
    assert found["tone"].value.startswith(b"RIFF")
    assert found["tone"].meta["rate"] == 8000


@pytest.mark.parametrize("library", ["torch", "tensorboardX"])
def test_golden_hparams(library: str) -> None:
    """[TBD-1] A session of hyper-parameters with its metric."""
    found = {point.kind: point for point in golden(library, "1700000000.25")}
    assert found["hparams"].value == {"lr": 0.1, "opt": "adam", "amp": True}
    assert found["end"].value == "success"
    assert (found["scalar"].tag, found["scalar"].value) == ("hparam/acc", 0.75)


def png() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"x" * 40


FORMS: list[tuple[bytes, str, Any]] = [
    (value("t", 8, tensor(1, [], field(4, struct.pack("<f", 1.5))), "scalars"), "scalar", 1.5),
    (value("t", 8, tensor(2, [], field(6, struct.pack("<d", 1 / 3))), "scalars"), "scalar", 1 / 3),
    (value("t", 8, tensor(2, [], varint(6 << 3 | 1) + struct.pack("<d", 1 / 3)), "scalars"), "scalar", 1 / 3),
    (value("t", 8, tensor(19, [], field(13, 0x3800)), "scalars"), "scalar", 0.5),
    (value("t", 8, tensor(14, [], field(4, b"\x80\x3f")), "scalars"), "scalar", 1.0),
    (value("t", 8, tensor(9, [], field(10, -7)), "scalars"), "scalar", -7.0),
    (value("t", 8, tensor(3, [1], field(4, struct.pack("<i", -3))), ""), "scalar", -3.0),
    (value("t", 8, tensor(7, [2], field(8, b"a"), field(8, b"b")), "text"), "text", "a\n\nb"),
    (
        value("t", 8, tensor(7, [2, 2], *(field(8, text) for text in (b"a", b"b|", b"c", b"d"))), "text"),
        "text",
        "|   |   |\n|---|---|\n| a | b\\| |\n| c | d |",
    ),
    (value("t", 8, tensor(7, [3], field(8, b"4"), field(8, b"5"), field(8, png())), "images"), "image", png()),
    (value("t", 8, tensor(7, [1, 2], field(8, b"RIFFx"), field(8, b"label")), "audio"), "audio", b"RIFFx"),
    (
        value("t", 8, tensor(2, [2, 3], field(4, struct.pack("<6d", 0, 1, 5, 2, 3, 4))), "histograms"),
        "histogram",
        {"edges": [0, 1, 2, 3], "counts": [5, 0, 4]},
    ),
]


@pytest.mark.parametrize(
    ("values", "kind", "expected"), FORMS, ids=[f"{kind}{n}" for n, (_, kind, _) in enumerate(FORMS)]
)
def test_tensor_forms(values: bytes, kind: str, expected: Any) -> None:
    """[TBD-1] Tensors of every type and plugin, packed or not, as bytes or as lists."""
    point = one(values)
    assert (point.kind, point.value) == (kind, expected)


def test_the_plugin_is_named_only_once() -> None:
    """[TBD-1] Later events of a tag do not repeat their metadata."""
    text = tensor(7, [], field(8, b"hello"))
    assert [p.kind for p in points_of(event(value("t", 8, text, "text")) + event(value("t", 8, text)))] == [
        "text",
        "text",
    ]
    curve = tensor(1, [2], field(4, struct.pack("<2f", 1, 2)))
    assert points_of(event(value("c", 8, curve, "pr_curves")) + event(value("c", 8, curve))) == []


def test_crc_is_castagnoli() -> None:
    """[TBD-2] By the published check value, and RFC 3720's vectors."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43


def test_torn_tails_are_waited_for() -> None:
    """[TBD-2] At every byte, what is before is read and nothing is believed of what is not whole."""
    data = scalar("a", 1.0) + scalar("b", 2.0)
    first = len(scalar("a", 1.0))
    for end in range(len(data) + 1):
        found = [point.tag for point in points_of(data[:end])]
        assert found == (["a", "b"] if end == len(data) else ["a"] if end >= first else [])


def test_damage_is_told_from_a_torn_tail() -> None:
    """[TBD-2] Any flipped bit of a whole frame is noticed."""
    data = scalar("a", 1.0)
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        with pytest.raises(Damaged):
            frame_at(memoryview(bytes(damaged)), 0)
    length = struct.pack("<Q", FRAME_LIMIT + 1)
    with pytest.raises(Damaged):
        frame_at(memoryview(length + struct.pack("<I", masked_crc(length)) + b"x" * 100), 0)


def test_no_bytes_do_harm() -> None:
    """[TBD-2] Mutated events of every kind end in points or in Damaged, soon, and with finite histograms."""
    seeds = [body for body, _ in _bodies()]
    chance = random.Random(5)
    for round_ in range(4000):
        body = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(body))
            body[at : at + chance.choice((0, 1, 1, 1, 4))] = bytes(
                chance.randrange(256) for _ in range(chance.choice((0, 1, 2)))
            )
            if not body:
                body = bytearray(b"\x0a")
        try:
            for point in tensorboard.Meaning().points(bytes(body)):
                if point.kind == "histogram":
                    assert all(math.isfinite(edge) for edge in point.value["edges"]), round_
        except Damaged:
            pass


def _bodies() -> list[tuple[bytes, str]]:
    found = [(field(1, 1.0) + field(2, 3) + field(5, values), kind) for values, kind, _ in FORMS]
    for path in sorted(GOLDEN.glob("*/**/events*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            body, at = frame_at(memoryview(data), at) or (b"", len(data))
            found.append((body, path.name))
    return found


def test_sizes_are_bounded() -> None:
    """[TBD-2] A shape of billions costs nothing, and a nest of thousands ends."""
    huge = tensor(1, [1 << 30, 1 << 30], field(4, struct.pack("<f", 1)))
    with pytest.raises(Damaged):
        points_of(event(value("t", 8, huge, "scalars")))
    nest = b""
    for _ in range(2000):
        nest = field(6, field(1, nest))
    start = field(3, field(1, field(1, b"x") + field(2, nest)))
    metadata = field(9, field(1, field(1, b"hparams") + field(2, start)))
    with pytest.raises(Damaged):
        points_of(frame(field(5, field(1, field(1, b"t") + metadata))))


@pytest.mark.parametrize(
    ("tag", "path"),
    [
        ("train/loss", "train/loss"),
        ("a//b", "a/%/b"),
        ("/a", "%/a"),
        ("a/", "a/%"),
        ("", "%"),
        ("50%", "50%25"),
        ("%", "%25"),
        ("a\tb\n", "a%09b%0a"),
        ("ä\u2028b", "ä%e2%80%a8b"),
        ("a b.c", "a b.c"),
    ],
)
def test_tags_become_paths_and_back(tag: str, path: str) -> None:
    """[TBD-3] And every path is one that an attribute can have."""
    from fieldbook.values import check_path

    assert path_of(tag) == path
    assert tag_of(path) == tag
    check_path(path, "tag")


def test_long_tags_stay_apart() -> None:
    """[TBD-3] Cut, with their digest."""
    first, second = path_of("x" * 600 + "1"), path_of("x" * 600 + "2")
    assert first != second
    assert len(first.encode()) <= 512


def test_folders_become_prefixes() -> None:
    """[TBD-3] Of the run's own folder none, so that the dates in folder names do not set runs apart."""
    folders = Folders()
    assert folders.prefix_of("/w/runs/Nov25_host") == ""
    assert folders.prefix_of("/w/runs/Nov25_host/loss_a") == "loss_a"
    assert folders.prefix_of("/w/runs/Nov25_host/1700000000.5") == ""
    assert folders.prefix_of("/w/runs/Nov25_host/1700000009.5") == "session-2"
    assert folders.prefix_of("/w/runs/Nov25_host/1700000009.5") == "session-2"
    assert folders.prefix_of("/w/runs/other") == "other"
    assert folders.prefix_of("/elsewhere/x") == "x"
    keras = Folders()
    assert keras.prefix_of("/w/logs/train") == "train"
    assert keras.prefix_of("/w/logs/validation") == "validation"


def test_the_libraries_read_back_the_same(tmp_path: Path) -> None:
    """[TBD-1] A live file of tensorboardX."""
    from tensorboardX import SummaryWriter  # type: ignore[import-not-found,unused-ignore]

    writer = SummaryWriter(str(tmp_path))
    for step in range(100):
        writer.add_scalar("x", step / 7, step)
    writer.close()
    (path,) = tmp_path.glob("events*")
    points = points_of(path.read_bytes())
    assert [point.step for point in points] == list(range(100))
    assert all(abs(point.value - point.step / 7) < 1e-5 for point in points)
