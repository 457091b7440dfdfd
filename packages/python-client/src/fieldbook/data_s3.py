"""Listing a bucket: a version of remote data from what the store says of its objects, without reading them.

boto3 or s3fs do the talking when the training has one of them installed. What they list is named by ETag, which for
objects sent in one piece is their MD5 and for others depends on how they were sent: a copy may get another one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: One object: key, size, ETag without quotes, when it was written (ms since the epoch), version id or None.
Listed = tuple[str, int, str, "float | None", "str | None"]
Lister = Callable[[str, str], Iterable[Listed]]

_URL = re.compile(r"s3a?://([^/]+)(?:/(.*))?\Z", re.DOTALL)


def parse(url: str) -> tuple[str, str]:
    """Bucket and prefix of a URL. Raises ``ValueError``."""
    match = _URL.match(url)
    if match is None:
        raise ValueError(f"files: {url!r} is not of the form s3://bucket/prefix")
    return match[1], match[2] or ""


def lister() -> tuple[Lister, str] | None:
    """The way to list a bucket that is installed, and its name; None when there is none."""
    from importlib import import_module

    for name, make in (("boto3", _with_boto3), ("s3fs", _with_s3fs)):
        try:
            return make(import_module(name)), name
        except ImportError:
            continue
    return None


def list_objects(listing: Lister, bucket: str, prefix: str) -> list[tuple[str, Listed]]:
    """``(path below the prefix, object)``. Markers of folders (empty, with a slash at the end) are no objects.

    A prefix means what lies below it as a folder, or the one object of that key; ``train`` does not mean ``train-old/…``.
    """
    folder = prefix if prefix == "" or prefix.endswith("/") else prefix + "/"
    below = []
    alone = []
    for listed in listing(bucket, prefix):
        key = listed[0]
        if key == prefix and not key.endswith("/"):
            alone.append((key.rpartition("/")[2], listed))
        elif key.startswith(folder) and not (key.endswith("/") and listed[1] == 0):
            below.append((key[len(folder) :], listed))
    return below or alone


def _with_boto3(boto3: Any) -> Lister:
    def listing(bucket: str, prefix: str) -> Iterable[Listed]:
        client = boto3.client("s3")
        versions: dict[str, str] = {}
        if _is_versioned(client, bucket):
            for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
                for one in page.get("Versions", []):
                    if one.get("IsLatest"):
                        versions[one["Key"]] = one["VersionId"]
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for one in page.get("Contents", []):
                key = one["Key"]
                yield key, one["Size"], one.get("ETag", "").strip('"'), _ms(one.get("LastModified")), versions.get(key)

    return listing


def _is_versioned(client: Any, bucket: str) -> bool:
    try:
        return bool(client.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled")
    except Exception:  # not allowed to ask, or a store that does not know the question
        return False


def _with_s3fs(s3fs: Any) -> Lister:
    def listing(bucket: str, prefix: str) -> Iterable[Listed]:
        files = s3fs.S3FileSystem(anon=None)
        # A prefix without a slash may be one object or a folder; `find` takes both.
        for name, one in files.find(f"{bucket}/{prefix}".rstrip("/"), detail=True).items():
            key = name[len(bucket) + 1 :]
            yield (
                key,
                one.get("size") or 0,
                str(one.get("ETag", "")).strip('"'),
                _ms(one.get("LastModified")),
                one.get("VersionId"),
            )

    return listing


def _ms(moment: Any) -> float | None:
    stamp = getattr(moment, "timestamp", None)
    return stamp() * 1000.0 if callable(stamp) else None
