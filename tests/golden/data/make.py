"""Makes the golden data lists: ``python tests/golden/data/make.py`` writes every ``*.jsonl`` and its ``*.json``.

They come from the encoder of the Python client, except where a list is damaged on purpose; the tests of both languages
read them and compute every digest themselves. Running it again changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "packages/python-client/src"))

from fieldbook.data_list import Line, encode, in_order, tree_digest  # noqa: E402

MTIME = 1_764_000_000_123.0


def content(number: int) -> str:
    return hashlib.sha256(bytes([number])).hexdigest()


def write(name: str, data: bytes, expected: dict[str, Any]) -> None:
    (HERE / f"{name}.jsonl").write_bytes(data)
    (HERE / f"{name}.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def good(
    name: str,
    lines: list[Line],
    root: str = "/data/train",
    source: str = "files",
    notes: list[str] | None = None,
) -> bytes:
    ordered = in_order(lines)
    digest = tree_digest(ordered)
    data = encode(ordered, root=root, source=source, digest=digest, notes=notes)
    rows = [[line.path, line.size, line.algorithm, line.digest] for line in ordered]
    write(name, data, {"digest": digest, "lines": rows})
    return data


def bad(name: str, data: bytes, error: str) -> None:
    write(name, data, {"error": error})


def main() -> None:
    good("empty", [])
    plain = good(
        "plain",
        [
            Line("train/b.bin", 2, "sha256", content(2), MTIME),
            Line("train/a.bin", 1, "sha256", content(1), MTIME),
            Line("train-old/a.bin", 9_007_199_254_740_991, "sha256", content(3), 0.0),
            Line("train", 0, "sha256", content(0), None),
        ],
    )
    # UTF-8 orders by code point, UTF-16 does not: U+FF5E comes before U+1F600 here and behind it there.
    good(
        "names",
        [
            Line(path, 1, "sha256", content(index), MTIME)
            for index, path in enumerate(
                [
                    "😀.png",
                    "～.png",
                    "é",
                    "z",
                    "\\xff\\\\.bin",
                    'quote".txt',
                    "line\nfeed",
                    "\u2028",
                    "Ä",
                    "a b",
                ]
            )
        ],
    )
    good(
        "pointers",
        [
            Line(
                "prepared",
                6,
                "md5",
                "153aad06d376b6595932470e459ef42a.dir",
                None,
                {"files": 2},
            ),
            Line("train.csv", 8, "md5", "0cc175b9c0f1b6a831c399e269772661", MTIME),
            Line("weights.bin", 5000, "sha256", content(4), MTIME),
        ],
        source="dvc",
    )
    good(
        "s3",
        [
            Line(
                "a.bin",
                1,
                "etag",
                "0cc175b9c0f1b6a831c399e269772661-3",
                MTIME,
                {"version": "v1"},
            )
        ],
        "s3://bucket/train",
        "s3",
    )
    good(
        "unread",
        [Line("a", 0, "none", "EACCES"), Line("b", 1, "sha256", content(1), MTIME)],
        notes=["1 could not be read, the first is 'a' (EACCES)"],
    )

    rows = plain.decode().split("\n")
    bad("bad-empty", b"", "empty")
    bad("bad-head", b'{"fieldbook.data":2}\n', "newer")
    bad("bad-order", "\n".join([rows[0], rows[2], rows[1], *rows[3:]]).encode(), "order")
    bad("bad-twice", "\n".join([rows[0], rows[1], rows[1], *rows[2:]]).encode(), "order")
    bad("bad-digest", "\n".join([rows[0], *rows[2:]]).encode(), "digest")
    bad("bad-size", plain.replace(b'"size":2', b'"size":2.5'), "names no file")
    bad(
        "bad-names",
        plain.replace(b'"size":2,', b'"size":2,"md5":"0cc175b9c0f1b6a831c399e269772661",'),
        "names no file",
    )


if __name__ == "__main__":
    main()
