"""Digests of files that have not changed, kept between runs: hashing 100 GB again would be the training's first ten minutes.

A file is known by device and inode, and its digest holds while size, mtime and ctime are the same. Two things would make
such a memory lie, and neither does here:

- A file may be written to in the same tick of the clock in which it was hashed, and then look unchanged. So a digest is
  believed only if the file was last changed well before its hashing began (as git does with its index).
- The cache itself may be damaged. Every row has a checksum, and a database that SQLite cannot read is begun anew.

The cache is never in the way: whatever goes wrong with it (locked by another process, a full disk), files are hashed.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any


#: What a file is known by: ``(device, inode, size, mtime in ns, ctime in ns)``.
Stamp = tuple[int, int, int, int, int]

#: FAT has ticks of two seconds, every other file system finer ones.
RACY_NS = 2_000_000_000
#: Rows that are kept: about 200 MB. The oldest go.
ROWS = 2_000_000
#: How long another process may have the database before we go on without it.
PATIENCE_S = 2.0
#: Inodes of one question; SQLite takes at least 999 values.
_QUESTION = 900

_TABLE = """
CREATE TABLE IF NOT EXISTS hashes (
  dev INTEGER NOT NULL, ino INTEGER NOT NULL, algorithm TEXT NOT NULL, began INTEGER NOT NULL, entry BLOB NOT NULL,
  PRIMARY KEY (dev, ino, algorithm)
) WITHOUT ROWID
"""
#: Of an entry: size, mtime, ctime, when hashing began, the digest, and a CRC-32 over device and inode and all of these.
_STAMP = struct.Struct("<QQqqq")
_BEGAN = struct.Struct("<q")
_CRC = struct.Struct("<I")
_PLACE = 16
_MASK = (1 << 64) - 1


def stamp_of(about: os.stat_result) -> Stamp:
    """What a file is known by."""
    return (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


class HashCache:
    """``$FIELDBOOK_HOME/cache/hashes.sqlite``. Opened for one reading or writing at a time, so forks do no harm."""

    def __init__(self, home: str) -> None:
        self.path = os.path.join(home, "cache", "hashes.sqlite")

    def look(self, stamps: Sequence[Stamp], algorithm: str = "sha256") -> dict[Stamp, str]:
        """The digests that hold, hexadecimal, of those files whose digest is known."""
        if not stamps:
            return {}
        found: dict[Stamp, str] = {}
        try:
            import sqlite3

            if not os.path.exists(self.path):
                return {}
            database = self._open()
            try:
                for rows in _read(database, stamps, algorithm):
                    found.update(rows)
            finally:
                database.close()
        except (ImportError, OSError):
            pass
        except sqlite3.DatabaseError as error:
            self._give_up(error)
        return found

    def keep(self, hashed: Iterable[tuple[Stamp, int, str]], algorithm: str = "sha256") -> None:
        """Remembers ``(stamp, when its hashing began in ns, digest)`` of files."""
        rows = [
            (_signed(stamp[0]), _signed(stamp[1]), algorithm, began, _entry(stamp, began, bytes.fromhex(digest)))
            for stamp, began, digest in hashed
            # A digest of a file that may have changed since without a trace would never be believed.
            if max(stamp[3], stamp[4]) + RACY_NS <= began
        ]
        if not rows:
            return
        try:
            import sqlite3

            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            database = self._open()
            try:
                with database:
                    database.execute(_TABLE)
                    database.executemany("INSERT OR REPLACE INTO hashes VALUES (?,?,?,?,?)", rows)
                    count = database.execute("SELECT count(*) FROM hashes").fetchone()[0] if len(rows) > 1000 else 0
                    if count > ROWS:
                        _thin(database)
            finally:
                database.close()
        except (ImportError, OSError, OverflowError):
            pass
        except sqlite3.DatabaseError as error:
            self._give_up(error)

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        database = sqlite3.connect(self.path, timeout=PATIENCE_S)
        # What a power cut loses is hashed again.
        database.execute("PRAGMA synchronous = OFF")
        return database

    def _give_up(self, error: sqlite3.DatabaseError) -> None:
        """A database that is locked, full or of a read-only disk is left alone; one that is none is removed."""
        import sqlite3

        text = str(error).lower()
        damaged = "malformed" in text or "not a database" in text or "no such column" in text or "columns but" in text
        if isinstance(error, sqlite3.OperationalError) and not damaged:
            return
        for name in (self.path, self.path + "-journal"):
            try:
                os.unlink(name)
            except OSError:
                pass


def _read(database: sqlite3.Connection, stamps: Sequence[Stamp], algorithm: str) -> Iterable[dict[Stamp, str]]:
    if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'hashes'").fetchone() is None:
        return
    by_device: dict[int, dict[int, Stamp]] = {}
    for stamp in stamps:
        by_device.setdefault(stamp[0], {})[_signed(stamp[1])] = stamp
    for device, wanted in by_device.items():
        inodes = list(wanted)
        for start in range(0, len(inodes), _QUESTION):
            part = inodes[start : start + _QUESTION]
            marks = ",".join("?" * len(part))
            rows = database.execute(
                f"SELECT ino, entry FROM hashes WHERE dev = ? AND algorithm = ? AND ino IN ({marks})",
                (_signed(device), algorithm, *part),
            )
            yield _believed(wanted, rows)


def _entry(stamp: Stamp, began: int, digest: bytes) -> bytes:
    packed = _STAMP.pack(stamp[0] & _MASK, stamp[1] & _MASK, *stamp[2:]) + _BEGAN.pack(began) + digest
    return packed[_PLACE:] + _CRC.pack(zlib.crc32(packed))


def _believed(wanted: dict[int, Stamp], rows: Iterable[tuple[int, Any]]) -> dict[Stamp, str]:
    """The digests of entries that are of the files as they are, and whole. In one piece: a call per file would be a sixth of a pass."""
    pack, crc32, began_of, crc_of = _STAMP.pack, zlib.crc32, _BEGAN.unpack_from, _CRC.unpack_from
    found: dict[Stamp, str] = {}
    for ino, entry in rows:
        stamp = wanted[ino]
        device, inode, size, mtime, ctime = stamp
        packed = pack(device & _MASK, inode & _MASK, size, mtime, ctime)
        if not isinstance(entry, bytes) or len(entry) < 36 or not entry.startswith(packed[_PLACE:]):
            continue
        if crc_of(entry, len(entry) - 4)[0] != crc32(entry[24:-4], crc32(packed)):
            continue
        began = began_of(entry, 24)[0]
        if mtime + RACY_NS <= began and ctime + RACY_NS <= began:
            found[stamp] = entry[32:-4].hex()
    return found


def _thin(database: sqlite3.Connection) -> None:
    """The oldest quarter goes."""
    limit = database.execute(
        "SELECT began FROM hashes ORDER BY began LIMIT 1 OFFSET (SELECT count(*) FROM hashes) / 4"
    ).fetchone()
    if limit is not None:
        database.execute("DELETE FROM hashes WHERE began < ?", limit)


def _signed(value: int) -> int:
    """64 bits as SQLite keeps them: devices and inodes of some systems use the highest."""
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value
