"""One round of `npm run bench -- track-files`: a data version of a folder with an empty hash cache, and again with a full one.

    python bench/track-files.py FOLDER HOME THREADS

Prints ``{"first_s", "second_s", "bytes", "files", "digest"}``: what a training waits for, without the interpreter's start.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "packages/python-client/src"))

from fieldbook import data, data_cache, data_hash

PASSES = 5


def main() -> None:
    folder, home, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    # A digest of a file that was just written is not remembered: it could change again without a trace.
    newest = max(path.stat().st_ctime_ns for path in Path(folder).rglob("*"))
    time.sleep(max(0.0, (newest + data_cache.RACY_NS - time.time_ns()) / 1e9 + 0.1))
    began = time.perf_counter()
    first = data.version_of([folder], home=home, threads=threads)
    first_s = time.perf_counter() - began
    data_hash._Hashing.run = lambda *_: sys.exit("the second pass read a file")  # type: ignore[method-assign]
    seconds = []
    for _ in range(PASSES):
        began = time.perf_counter()
        second = data.version_of([folder], home=home, threads=threads)
        seconds.append(time.perf_counter() - began)
        assert second.digest == first.digest
    print(
        json.dumps(
            {
                "first_s": first_s,
                "second_s": statistics.median(seconds),
                "bytes": first.size,
                "files": first.files,
                "digest": first.digest,
            }
        )
    )


if __name__ == "__main__":
    main()
