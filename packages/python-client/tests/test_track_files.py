"""``run["data/train"].track_files(…)``: what a version holds, what it says of odd files, and when it is hashed again."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

import fieldbook
from fieldbook import data, data_cache, data_hash, data_list, data_s3, journal
from support import SOURCE, Home, run_script

HOUR_AGO = time.time() - 3600


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    """Files that were last changed an hour ago, so that their digests may be remembered at once."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (HOUR_AGO, HOUR_AGO))
    return folder


def version(*sources: Path | str, **options: Any) -> data.DataVersion:
    return data.version_of([str(source) for source in sources], **options)


def paths(found: data.DataVersion) -> list[str]:
    return [line.path for line in found.lines]


class Clock:
    """Time as the hashing sees it. The ctime of a file cannot be set, so tests move the clock instead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() + self.ahead)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(monkeypatch)
    clock.ahead = 10_000_000_000
    return clock


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were really read."""
    names: list[str] = []
    real = data_hash._Hashing._hash

    def spy(self: Any, path: str, *rest: Any) -> Any:
        names.append(os.path.basename(path))
        return real(self, path, *rest)

    monkeypatch.setattr(data_hash._Hashing, "_hash", spy)
    return names


def test_the_run_gets_the_digest_and_the_list(home: Home, tmp_path: Path) -> None:
    """[DAT-1] The attribute is the tree digest, and the list lies as a file of kind data below it."""
    folder = fill(tmp_path / "data", {"b.txt": b"two", "a/x.bin": b"one"})
    with fieldbook.init("p") as run:
        found = run["data/train"].track_files(folder)
    rows = b""
    for path, content in (("a/x.bin", b"one"), ("b.txt", b"two")):
        rows += f"{path}\0{len(content)}\0sha256:{hashlib.sha256(content).hexdigest()}\n".encode()
    digest = hashlib.sha256(rows).hexdigest()
    assert str(found) == f"data:sha256:{digest}"
    written = home.only()
    assert written.attributes()["data/train"] == f"data:sha256:{digest}"
    (file,) = written.of(journal.FILE)
    assert (file["path"], file["kind"]) == ("data/train/list", "data")
    assert file["meta"] == {"digest": digest, "files": 2, "bytes": 6, "from": "files"}
    spooled = (home.files()[0].parent / f"{written.writer}.files" / file["spool"]).read_bytes()
    head, lines = data_list.decode(spooled)
    assert head == {"fieldbook.data": 1, "root": str(folder), "files": 2, "bytes": 6, "digest": digest, "from": "files"}
    assert [(line.path, line.size, line.mtime) for line in lines] == [
        ("a/x.bin", 3, round(HOUR_AGO * 1000)),
        ("b.txt", 3, round(HOUR_AGO * 1000)),
    ]


def test_the_same_data_has_the_same_digest_anywhere(tmp_path: Path) -> None:
    """[DAT-1] Neither place, nor times, nor modes, nor the order in which a disk lists its files matter."""
    names = {f"part-{number % 7}/{number:03d}.bin": os.urandom(number) for number in range(60)}
    here = fill(tmp_path / "here", names)
    there = fill(tmp_path / "else" / "where", dict(reversed(list(names.items()))))
    for path in there.rglob("*.bin"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    assert version(here).digest == version(there).digest
    (there / "part-0" / "000.bin").write_bytes(b"!")
    assert version(here).digest != version(there).digest


def test_what_a_source_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[DAT-2] A folder, a file, a glob, several of them: each has its root, and a file is counted once."""
    fill(tmp_path, {"d/a.csv": b"a", "d/b.csv": b"bb", "d/c.txt": b"c", "d/e/f.csv": b"f", "g/h.csv": b"h"})
    monkeypatch.chdir(tmp_path)
    assert paths(version("d")) == ["a.csv", "b.csv", "c.txt", "e/f.csv"]
    assert (
        version("d").digest
        == version("d/").digest
        == version(tmp_path / "d").digest
        == version("file://" + str(tmp_path / "d")).digest
    )
    assert paths(version("d/a.csv")) == ["a.csv"]
    assert paths(version("d/*.csv")) == ["a.csv", "b.csv"]
    assert paths(version("d/**/*.csv")) == ["a.csv", "b.csv", "e/f.csv"]
    assert paths(version("d/**")) == ["a.csv", "b.csv", "c.txt", "e/f.csv"]
    assert paths(version("d", "g/h.csv")) == ["d/a.csv", "d/b.csv", "d/c.txt", "d/e/f.csv", "g/h.csv"]
    assert paths(version("d/e", "d/a.csv")) == ["a.csv", "e/f.csv"]
    twice = version("d/a.csv", "d")
    assert paths(twice) == ["a.csv", "b.csv", "c.txt", "e/f.csv"]
    assert "count once" in twice.notes[0]


@pytest.mark.parametrize(
    ("files", "error", "says"),
    [
        ("nowhere/", ValueError, "nothing at 'nowhere/'"),
        ("*.nothing", ValueError, "nothing fits"),
        ("", ValueError, "empty path"),
        ([], ValueError, "files is empty"),
        (3, TypeError, "files must be a path"),
        (b"x", TypeError, "files must be a path"),
        ([3], TypeError, "files must hold paths"),
        (["s3://a/b", "x"], ValueError, "a URL is tracked alone"),
    ],
)
def test_mistakes_name_the_argument(files: Any, error: type[Exception], says: str) -> None:
    """[DAT-2] What names nothing is a mistake, said at once."""
    with fieldbook.init("p") as run, pytest.raises(error, match=says.replace("*", ".")):
        run["data"].track_files(files)


def test_ignore(tmp_path: Path) -> None:
    """[DAT-2] Patterns leave out names, paths and folders; what tools leave between data is left out anyway."""
    fill(
        tmp_path / "d",
        {
            "a.csv": b"",
            "a.tmp": b"",
            "x/b.tmp": b"",
            "x/b.csv": b"",
            "cache/c.csv": b"",
            ".DS_Store": b"",
            ".git/HEAD": b"",
            "old/y/d.csv": b"",
        },
    )
    assert paths(version(tmp_path / "d")) == ["a.csv", "a.tmp", "cache/c.csv", "old/y/d.csv", "x/b.csv", "x/b.tmp"]
    assert paths(version(tmp_path / "d", ignore=["*.tmp", "cache/", "old/*"])) == ["a.csv", "x/b.csv"]
    with fieldbook.init("p") as run:
        with pytest.raises(TypeError, match="ignore must hold patterns"):
            run["d"].track_files(tmp_path / "d", ignore=[1])
        with pytest.raises(ValueError, match="empty pattern"):
            run["d"].track_files(tmp_path / "d", ignore=[""])


def test_links_loops_and_special_files(tmp_path: Path) -> None:
    """[DAT-3] Links are what they lead to, a loop is entered once, and pipes and sockets are no data."""
    folder = fill(tmp_path / "d", {"a.bin": b"a", "sub/b.bin": b"b"})
    elsewhere = fill(tmp_path / "elsewhere", {"c.bin": b"c", "deep/e.bin": b"e"})
    (folder / "link.bin").symlink_to(elsewhere / "c.bin")
    (folder / "linked").symlink_to(elsewhere)
    (folder / "sub" / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "s"))
    server.close()
    found = version(folder)
    assert paths(found) == ["a.bin", "link.bin", "linked/c.bin", "linked/deep/e.bin", "sub/b.bin"]
    assert sorted(note.split(" ", 1)[0] for note in found.notes) == ["1", "2"]
    assert any("were not followed" in note for note in found.notes)
    copied = fill(
        tmp_path / "copy",
        {"a.bin": b"a", "link.bin": b"c", "linked/c.bin": b"c", "linked/deep/e.bin": b"e", "sub/b.bin": b"b"},
    )
    assert found.digest == version(copied).digest


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
def test_names(tmp_path: Path) -> None:
    """[DAT-3] Names are composed Unicode, compared by case; bytes that are no UTF-8 are shown, and nothing is lost."""
    folder = fill(tmp_path / "d", {"cafe\u0301.txt": b"1", "B.txt": b"2", "b.txt": b"3"})
    with open(os.fsencode(folder) + b"/\xff\\.bin", "wb") as file:
        file.write(b"4")
    found = version(folder)
    assert paths(found) == ["B.txt", "\\xff\\\\.bin", "b.txt", "café.txt"]
    assert data_list.decode(found.encode())[0]["files"] == 4
    assert found.digest != version(fill(tmp_path / "e", {"B.txt": b"2", "b.txt": b"3"})).digest
    assert (
        version(fill(tmp_path / "nfc", {"caf\u00e9.txt": b"1"})).digest
        == version(fill(tmp_path / "nfd", {"cafe\u0301.txt": b"1"})).digest
    )


def test_what_cannot_be_read_is_listed_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[DAT-3] A tree with a hole in it is never called the same as a whole one."""
    folder = fill(tmp_path / "d", {"a.bin": b"a", "b.bin": b"b"})
    whole = version(folder)
    (folder / "broken").symlink_to(tmp_path / "nowhere")
    real = os.open

    def refuse(path: Any, *rest: Any, **more: Any) -> int:
        # As root every file can be read, so the kernel's refusal is put in its mouth.
        if str(path).endswith("b.bin"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    found = version(folder)
    assert [(line.path, line.algorithm, line.digest) for line in found.lines[1:]] == [
        ("b.bin", "none", "EACCES"),
        ("broken", "none", "ENOENT"),
    ]
    assert not found.complete
    assert whole.complete
    assert "2 could not be read" in found.notes[0]


def test_a_file_that_changes_while_it_is_hashed(
    home: Home, tmp_path: Path, later: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[DAT-3] It is read again; if it never holds still that is said, and its digest is not remembered."""
    folder = fill(tmp_path / "d", {"a.bin": b"a" * 100})
    real = data_hash._read_into
    changes = [b"b" * 100]

    def read(fd: int, buffer: bytearray) -> int:
        count = real(fd, buffer)
        if count and changes:
            (folder / "a.bin").write_bytes(changes.pop())
        return count

    monkeypatch.setattr(data_hash, "_read_into", read)
    found = version(folder, home=str(home.path))
    assert found.lines[0].digest == hashlib.sha256(b"b" * 100).hexdigest()
    assert found.notes == []
    (folder / "a.bin").write_bytes(b"new")
    changes[:] = [b"c" * n for n in range(1, 5)]
    found = version(folder, home=str(home.path))
    assert "1 changed while being read" in found.notes[0]
    changes.clear()
    assert (
        version(folder, home=str(home.path)).lines[0].digest
        == hashlib.sha256((folder / "a.bin").read_bytes()).hexdigest()
    )


def test_unchanged_files_are_not_read_again(home: Home, tmp_path: Path, later: Clock, hashed: list[str]) -> None:
    """[DAT-4] The second pass reads nothing; a file that changed in any way is read."""
    folder = fill(tmp_path / "d", {"a.bin": b"aaa", "b.bin": b"bbb", "c.bin": b"ccc"})
    first = version(folder, home=str(home.path))
    assert sorted(hashed) == ["a.bin", "b.bin", "c.bin"]
    hashed.clear()
    assert version(folder, home=str(home.path)).digest == first.digest
    assert hashed == []
    # The same size and the same mtime: only the inode's change time tells.
    (folder / "b.bin").write_bytes(b"BBB")
    os.utime(folder / "b.bin", (HOUR_AGO, HOUR_AGO))
    later.ahead *= 2
    assert version(folder, home=str(home.path)).digest != first.digest
    assert hashed == ["b.bin"]
    hashed.clear()
    moved = folder.rename(tmp_path / "moved")
    version(moved, home=str(home.path))
    assert hashed == []


def test_a_file_changed_in_the_same_tick_is_noticed(home: Home, tmp_path: Path, hashed: list[str]) -> None:
    """[DAT-4] A digest of a file that was just written is not believed: it could change again and look the same."""
    folder = fill(tmp_path / "d", {"a.bin": b"aaa"})
    version(folder, home=str(home.path))
    version(folder, home=str(home.path))
    assert hashed == ["a.bin", "a.bin"]


def test_a_row_that_says_it_was_hashed_too_early_is_not_believed(home: Home, tmp_path: Path) -> None:
    """[DAT-4] Whoever wrote the row: what the file's clock and ours make of each other decides when it is read."""
    path = fill(tmp_path / "d", {"a.bin": b"aaa"}) / "a.bin"
    stamp = data_cache.stamp_of(path.stat())
    cache = data_cache.HashCache(str(home.path))
    late = max(stamp[3:]) + 3_000_000_000
    cache.keep([(stamp, late, "ab" * 32)])
    assert cache.look([stamp]) == {stamp: "ab" * 32}
    with sqlite3.connect(cache.path) as database:
        early = data_cache._entry(stamp, max(stamp[3:]), bytes.fromhex("ab" * 32))
        database.execute("UPDATE hashes SET entry = ?", (early,))
    database.close()
    assert cache.look([stamp]) == {}


@pytest.mark.parametrize("damage", ["garbage", "row", "table", "folder"])
def test_a_damaged_cache_is_in_nobodys_way(
    home: Home, tmp_path: Path, later: Clock, hashed: list[str], damage: str
) -> None:
    """[DAT-5] Whatever happened to the cache: the digests are right, and the next pass is quick again where that can be."""
    folder = fill(tmp_path / "d", {"a.bin": b"aaa", "b.bin": b"bbb"})
    right = version(folder)
    version(folder, home=str(home.path))
    cache = Path(data_cache.HashCache(str(home.path)).path)
    if damage == "garbage":
        cache.write_bytes(b"this is no database" * 1000)
    elif damage == "folder":
        cache.unlink()
        cache.mkdir()
    else:
        with sqlite3.connect(cache) as database:
            if damage == "row":
                database.execute("UPDATE hashes SET entry = CAST(substr(entry, 1, 40) || zeroblob(28) AS BLOB)")
            else:
                database.execute("DROP TABLE hashes")
                database.execute("CREATE TABLE hashes (other INTEGER)")
        database.close()
    hashed.clear()
    assert version(folder, home=str(home.path)).digest == right.digest
    assert sorted(hashed) == ["a.bin", "b.bin"]
    if damage != "folder":
        hashed.clear()
        assert version(folder, home=str(home.path)).digest == right.digest
        assert hashed == []


def test_a_locked_cache_is_done_without(
    home: Home, tmp_path: Path, later: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[DAT-5] Another process that holds the database keeps nobody waiting for long, and is not disturbed."""
    monkeypatch.setattr(data_cache, "PATIENCE_S", 0.05)
    folder = fill(tmp_path / "d", {"a.bin": b"aaa"})
    right = version(folder, home=str(home.path))
    holder = sqlite3.connect(data_cache.HashCache(str(home.path)).path)
    holder.execute("BEGIN EXCLUSIVE")
    assert version(folder, home=str(home.path)).digest == right.digest
    holder.rollback()
    assert holder.execute("SELECT count(*) FROM hashes").fetchone() == (1,)
    holder.close()


def test_processes_share_the_cache(home: Home, tmp_path: Path) -> None:
    """[DAT-5] Several processes that hash one tree at once agree, and leave a whole cache."""
    folder = fill(tmp_path / "d", {f"{number}.bin": os.urandom(2000) for number in range(200)})
    right = version(folder)
    script = (
        "import sys, time; ahead = time.time_ns; time.time_ns = lambda: ahead() + 10**10\n"
        "from fieldbook import data; print(data.version_of([sys.argv[1]], home=sys.argv[2]).digest)"
    )
    command = [sys.executable, "-c", script, str(folder), str(home.path)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate(timeout=60)[0].strip() for process in running] == [right.digest] * 4
    with sqlite3.connect(data_cache.HashCache(str(home.path)).path) as database:
        assert database.execute("SELECT count(*) FROM hashes").fetchone() == (200,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_lfs_pointers_are_the_content_they_stand_for(tmp_path: Path) -> None:
    """[DAT-6] A clone without the content and one with it hold the same data version."""
    content = os.urandom(5000)
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(content).hexdigest()}\nsize 5000\n"
    )
    pulled = fill(tmp_path / "pulled", {"weights.bin": content, "README": b"hello"})
    bare = fill(tmp_path / "bare", {"weights.bin": pointer.encode(), "README": b"hello"})
    assert version(bare).digest == version(pulled).digest
    assert version(bare).source == "git-lfs"
    assert version(bare).size == 5005
    fill(bare, {"weights.bin": pointer.replace("5000", "x").encode()})
    assert version(bare).digest != version(pulled).digest


DVC = """\
outs:
- md5: {md5}
  size: {size}
  hash: md5
  path: {path}
"""


def test_dvc_files_are_the_content_they_stand_for(tmp_path: Path) -> None:
    """[DAT-6] With and without the content, asked for by the pointer, by the name it stands for, or by the folder."""
    content = b"x,y\n1,2\n"
    pointer = DVC.format(md5=hashlib.md5(content).hexdigest(), size=len(content), path="train.csv").encode()
    bare = fill(tmp_path / "bare", {"data/train.csv.dvc": pointer, "data/notes.txt": b"n"})
    pulled = fill(
        tmp_path / "pulled", {"data/train.csv.dvc": pointer, "data/train.csv": content, "data/notes.txt": b"n"}
    )
    for source in ("data", "data/train.csv", "data/train.csv.dvc"):
        assert version(bare / source).digest == version(pulled / source).digest, source
    found = version(bare / "data")
    assert [(line.path, line.algorithm) for line in found.lines] == [("notes.txt", "sha256"), ("train.csv", "md5")]
    assert found.source == "dvc"
    assert [line.size for line in found.lines] == [1, 8]
    for changed in (b"x,y\n1,3\n", b"longer than that"):
        fill(pulled, {"data/train.csv": changed})
        other = version(pulled / "data")
        assert other.digest != found.digest
        assert [(line.algorithm, line.digest) for line in other.lines[1:]] == [
            ("sha256", hashlib.sha256(changed).hexdigest())
        ]
        assert "is not as its .dvc file says" in other.notes[0]


def test_dvc_files_of_another_folder(tmp_path: Path) -> None:
    """[DAT-6] A pointer whose `wdir` is not its own folder stands for what lies there."""
    md5 = hashlib.md5(b"1,2").hexdigest()
    pointer = f"wdir: ../data\nouts:\n- md5: {md5}\n  size: 3\n  hash: md5\n  path: a.csv\n".encode()
    fill(tmp_path, {"pointers/a.dvc": pointer, "data/b.csv": b"x"})
    bare = version(tmp_path / "pointers" / "a.dvc")
    assert [(line.path, line.digest) for line in bare.lines] == [("a.csv", md5)]
    fill(tmp_path, {"data/a.csv": b"1,2"})
    assert version(tmp_path / "pointers" / "a.dvc").digest == bare.digest
    fill(tmp_path, {"data/a.csv": b"1,3"})
    assert version(tmp_path / "pointers" / "a.dvc").digest != bare.digest


def test_dvc_before_3_names_texts_by_another_digest(tmp_path: Path) -> None:
    """[DAT-6] Its MD5 is not of the bytes, so content of the pointer's size is believed, and of another size is not."""
    pointer = b"outs:\n- md5: 00000000000000000000000000000000\n  size: 4\n  path: a.csv\ndeps:\n- path: b.csv\n  md5: 11111111111111111111111111111111\n"
    folder = fill(tmp_path / "d", {"a.csv.dvc": pointer})
    bare = version(folder)
    assert [(line.path, line.digest) for line in bare.lines] == [("a.csv", "0" * 32)]
    fill(folder, {"a.csv": b"1\r\n2"})
    assert version(folder).digest == bare.digest
    fill(folder, {"a.csv": b"12345"})
    assert version(folder).lines[0].algorithm == "sha256"


LOCK = """\
schema: '2.0'
stages:
  prepare:
    cmd: python prepare.py raw.csv
    deps:
    - path: raw.csv
      hash: md5
      md5: 00000000000000000000000000000000
      size: 1
    params:
      params.yaml:
        prepare.split: 0.2
    outs:
    - path: data/prepared
      hash: md5
      md5: 153aad06d376b6595932470e459ef42a.dir
      size: 6
      nfiles: 2
  train:
    cmd: "python train.py # not: yaml"
    outs:
    - path: "model: 1.pkl"
      hash: md5
      md5: 11111111111111111111111111111111
      size: 2
"""


def test_dvc_lock(tmp_path: Path) -> None:
    """[DAT-6] A folder that a pipeline made is its entry of dvc.lock, with and without its files; all entries by the lock itself."""
    bare = fill(tmp_path / "bare", {"dvc.lock": LOCK.encode()})
    pulled = fill(
        tmp_path / "pulled", {"dvc.lock": LOCK.encode(), "data/prepared/a": b"abc", "data/prepared/b": b"def"}
    )
    found = version(bare / "data" / "prepared")
    assert [(line.path, line.size, line.algorithm, line.digest, line.extra) for line in found.lines] == [
        ("prepared", 6, "md5", "153aad06d376b6595932470e459ef42a.dir", {"files": 2})
    ]
    assert version(pulled / "data" / "prepared").digest == found.digest
    assert paths(version(bare / "dvc.lock")) == ["data/prepared", "model: 1.pkl"]
    fill(pulled, {"data/prepared/c": b"more"})
    assert paths(version(pulled / "data" / "prepared")) == ["prepared/a", "prepared/b", "prepared/c"]
    with pytest.raises(ValueError, match="stands for no data"):
        version(fill(tmp_path / "none", {"x.dvc": b"outs:\n- path: x\n"}) / "x.dvc")


class _Bucket(http.server.BaseHTTPRequestHandler):
    """ListObjectsV2 of S3, two objects a page; versions where ``versioned``."""

    objects: dict[str, bytes]
    versioned = False

    def do_GET(self) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query, keep_blank_values=True)
        prefix = query.get("prefix", [""])[0]
        keys = sorted(key for key in self.objects if key.startswith(prefix))
        if "versioning" in query:
            status = "<Status>Enabled</Status>" if self.versioned else ""
            return self._answer(f"<VersioningConfiguration>{status}</VersioningConfiguration>")
        if "versions" in query:
            rows = "".join(
                f"<Version><Key>{key}</Key><VersionId>v-{key}</VersionId><IsLatest>true</IsLatest><Size>1</Size></Version>"
                for key in keys
            )
            return self._answer(f"<ListVersionsResult><IsTruncated>false</IsTruncated>{rows}</ListVersionsResult>")
        start = int(query.get("continuation-token", ["0"])[0])
        rows = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(self.objects[key])}</Size>"
            f"<LastModified>2026-03-01T10:00:00.000Z</LastModified>"
            f"<ETag>&quot;{hashlib.md5(self.objects[key]).hexdigest()}&quot;</ETag></Contents>"
            for key in keys[start : start + 2]
        )
        more = start + 2 < len(keys)
        token = f"<NextContinuationToken>{start + 2}</NextContinuationToken>" if more else ""
        self._answer(
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}</ListBucketResult>"
        )

    def _answer(self, body: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/xml")
        self.end_headers()
        self.wfile.write(b"<?xml version='1.0'?>" + body.encode())

    def log_message(self, *_: Any) -> None:
        pass


OBJECTS = {
    "train/": b"",
    "train/a.bin": b"a",
    "train/b/c.bin": b"cc",
    "train-old/a.bin": b"x",
    "train/z.bin": b"zzz",
    "one.csv": b"1",
}


@pytest.mark.parametrize("versioned", [False, True])
def test_s3_through_boto3(home: Home, monkeypatch: pytest.MonkeyPatch, versioned: bool) -> None:
    """[DAT-7] With boto3 a prefix is listed page by page, by ETag, without reading an object."""
    pytest.importorskip("boto3")
    handler = type("Bucket", (_Bucket,), {"objects": OBJECTS, "versioned": versioned})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        with fieldbook.init("p") as run:
            found = run["data"].track_files("s3://bucket/train")
    finally:
        server.shutdown()
        server.server_close()
    assert isinstance(found, data.DataVersion)
    _check_listing(found, versioned)


def _check_listing(found: data.DataVersion, versioned: bool) -> None:
    assert [(line.path, line.size, line.algorithm, line.digest) for line in found.lines] == [
        ("a.bin", 1, "etag", hashlib.md5(b"a").hexdigest()),
        ("b/c.bin", 2, "etag", hashlib.md5(b"cc").hexdigest()),
        ("z.bin", 3, "etag", hashlib.md5(b"zzz").hexdigest()),
    ]
    assert found.source == "s3"
    assert found.root == "s3://bucket/train"
    assert found.lines[0].mtime == 1772359200000.0
    assert found.lines[0].extra == ({"version": "v-train/a.bin"} if versioned else {})


def test_s3_by_what_a_lister_says() -> None:
    """[DAT-7] A prefix is a folder or the one object of that key; ETags make the digest, versions and times do not."""

    def listing(bucket: str, prefix: str) -> list[data_s3.Listed]:
        assert bucket == "bucket"
        keys = [key for key in OBJECTS if key.startswith(prefix)]
        return [
            (key, len(OBJECTS[key]), hashlib.md5(OBJECTS[key]).hexdigest(), 1772359200000.0, f"v-{key}") for key in keys
        ]

    found = data.s3_version("s3://bucket/train", listing)
    _check_listing(found, True)
    assert data.s3_version("s3://bucket/train/", listing).digest == found.digest
    assert paths(data.s3_version("s3://bucket/one.csv", listing)) == ["one.csv"]
    without = [(key, size, etag, None, None) for key, size, etag, _, _ in listing("bucket", "train")]
    assert data.s3_version("s3://bucket/train", lambda *_: without).digest == found.digest
    with pytest.raises(ValueError, match="nothing at"):
        data.s3_version("s3://bucket/none", listing)


@pytest.mark.parametrize("url", ["s3://bucket/train", "gs://bucket/train", "https://me:secret@example.org/x.tar"])
def test_what_cannot_be_listed_is_named(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    """[DAT-7] Without a way to list it, the run names the URL and says why that is all; logins do not reach the disk."""
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with fieldbook.init("p") as run:
        run["data"].track_files(url)
    written = home.only()
    shown = written.attributes()["data"]
    assert shown.endswith(url.rpartition("/")[2])
    assert "secret" not in shown
    (file,) = written.of(journal.FILE)
    assert (file["path"], file["source"], file["spool"]) == ("data/list", shown, None)
    assert "which version of it is not known" in capsys.readouterr().err


def test_a_bucket_that_does_not_answer_stops_no_training(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """[DAT-7] No network and no credentials are the machine's trouble."""

    def listing(bucket: str, prefix: str) -> Any:
        raise RuntimeError("Unable to locate credentials")

    monkeypatch.setattr(data_s3, "lister", lambda: (listing, "boto3"))
    with fieldbook.init("p") as run:
        assert run["data"].track_files("s3://bucket/train") == "s3://bucket/train"
    assert "Unable to locate credentials" in home.only().of(journal.FILE)[0]["meta"]["why"]


def test_nothing_is_hashed_when_nothing_is_recorded(
    tmp_path: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """[DAT-1] Neither in a disabled run nor on the ranks that record no data."""
    folder = fill(tmp_path / "d", {"a": b"a"})
    assert fieldbook.init("p", mode="disabled")["data"].track_files(folder) is None
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with fieldbook.init("p") as run:
        assert run["data"].track_files(folder) is None
    with fieldbook.init("p", all_ranks=True) as run:
        pass
    assert run["data"].track_files(folder) is None
    assert hashed == []


def test_a_long_pass_says_that_it_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """[DAT-1] Silent below a second; then one line says what is hashed and how far it is."""
    folder = fill(tmp_path / "d", {"a": b"a" * 3000})
    version(folder)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(data, "PATIENCE_S", 0.0)
    version(folder)
    assert capsys.readouterr().err == f"fieldbook: hashing {folder}: 3 kB of 3 kB\n"


GOLDEN = Path(__file__).resolve().parents[3] / "tests" / "golden" / "data"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.jsonl")), ids=lambda path: path.stem)
def test_golden_lists(path: Path) -> None:
    """[DAT-8] Lists and digests are those that core computes."""
    wanted = json.loads(path.with_suffix(".json").read_text())
    if "error" in wanted:
        with pytest.raises(ValueError, match=wanted["error"]):
            data_list.decode(path.read_bytes())
        return
    head, lines = data_list.decode(path.read_bytes())
    assert data_list.tree_digest(lines) == wanted["digest"]
    assert [[line.path, line.size, line.algorithm, line.digest] for line in lines] == wanted["lines"]
    again = data_list.encode(
        lines, root=head["root"], source=head["from"], digest=head["digest"], notes=head.get("notes")
    )
    assert again == path.read_bytes()


def test_importing_costs_nothing(home: Home) -> None:
    """[DAT-1] The client imports neither SQLite nor the hashing before somebody tracks data."""
    code, out, _ = run_script(
        "import sys, fieldbook; print(sorted(m for m in sys.modules if m in ('sqlite3', 'hashlib', 'fieldbook.data')))",
        home,
    )
    assert (code, out.strip()) == (0, "[]")


def test_a_copy_of_the_cache_is_harmless(home: Home, tmp_path: Path, later: Clock, hashed: list[str]) -> None:
    """[DAT-5] Rows of another machine's inodes do not fit the files here."""
    folder = fill(tmp_path / "d", {"a.bin": b"aaa"})
    version(folder, home=str(home.path))
    shutil.copytree(home.path, tmp_path / "copied")
    (folder / "a.bin").unlink()
    fill(folder, {"a.bin": b"AAA"})
    found = version(folder, home=str(tmp_path / "copied"))
    assert found.lines[0].digest == hashlib.sha256(b"AAA").hexdigest()
