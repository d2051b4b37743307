"""The object store calls that a writer needs beyond fsspec's common ones, and the metadata that stores return.

Paths are relative to the root; keys are those of the bucket. The calls of S3 are in :mod:`.s3_api`, those of Google Cloud
Storage in :mod:`.gcs_api`, and the fallback for other stores in :mod:`.common_api`. Exceptions are those of the
store's library; requests that the store throttles are repeated.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Protocol

from airflow_provider_sync.files.tree import TreeEntry

MTIME = "mtime"
"""Name of the metadata field for the time of modification, in seconds with decimals, as rclone writes it."""

_NS = 1_000_000_000


def modified_ns(info: dict[str, Any]) -> int:
    """Return an object's time of modification, in nanoseconds since the epoch; 0 if the store gives none."""
    for name in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = info.get(name)
        if isinstance(value, datetime.datetime):
            return nanoseconds(value)
        if isinstance(value, int | float):
            return _rounded_ns(value)
    return 0


def nanoseconds(moment: datetime.datetime) -> int:
    """Return a moment in nanoseconds since the epoch."""
    return _rounded_ns(moment.timestamp())


def _rounded_ns(seconds: float) -> int:
    # Some stores return a number in listings, and a datetime, with microseconds at most, for a single object.
    return round(seconds * 1_000_000) * 1000


def describe(info: dict[str, Any]) -> tuple[int, bytes]:
    """Return time of modification and version from fsspec's ``info`` about an object of any store."""
    etag, mtime_ns = info.get("ETag") or info.get("etag"), modified_ns(info)
    return mtime_ns, f"{etag} {mtime_ns}".encode() if etag else b""


def mtime_text(mtime_ns: int) -> str:
    """Format a time of modification as the value of :data:`MTIME`."""
    return f"{mtime_ns // _NS}.{mtime_ns % _NS:09}"


class ObjectApi(Protocol):
    """The calls of a store that a writer needs; paths are relative to the root.

    :ivar max_deletes: most objects that one call of :meth:`delete` takes
    """

    max_deletes: int

    def put(self, path: str, data: bytes, mtime_ns: int | None) -> tuple[int, bytes]:
        """Write a small object, and return its time of modification (0 if unknown) and its version."""
        ...

    def copy(self, from_path: str, path: str, mtime_ns: int | None, version: bytes | None) -> TreeEntry:
        """Copy one version of an object inside the store, and return the copy.

        :param mtime_ns: time of modification for the copy's metadata; ``None`` keeps that of the object
        :param version: version that is copied; ``None`` for the current one
        :raises FileChangedError: when the object has another version, unless the store itself refuses the copy
        """
        ...

    def delete(self, paths: Sequence[str]) -> dict[str, str]:
        """Delete objects; return the reason for each that could not be deleted. A missing object is no error."""
        ...
