"""What a store of objects does beyond fsspec's common calls: pages of a listing, metadata, and the version of what was written.

Paths are relative to the root; keys are those of the bucket. S3 and Google Cloud Storage have their own classes here. For other
stores there is :mod:`.common_api`. Exceptions are those of the store's library; requests that it throttles are repeated.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import io
import json
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol
from urllib.parse import quote

from fsspec import AbstractFileSystem

from airflow_provider_sync.exceptions import FileChangedError
from airflow_provider_sync.files.objects.listing import FoundObject, PageTokens
from airflow_provider_sync.files.objects.throttling import unless_throttled
from airflow_provider_sync.files.tree import TreeEntry

MTIME = "mtime"
"""Metadata with the time of modification, in seconds with decimals, as rclone writes it."""

# Larger objects are copied in parts.
_MAX_COPY_BYTES = 5 * 1024**3
_NS = 1_000_000_000
# Of seconds since the epoch: more are no time.
_MAX_DIGITS = 11


def modified_ns(info: dict[str, Any]) -> int:
    """Return the time of modification from what a store says about an object; 0 if it does not say."""
    for name in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = info.get(name)
        if isinstance(value, datetime.datetime):
            return _to_ns(value)
        if isinstance(value, int | float):
            return _rounded_ns(value)
    return 0


def _to_ns(moment: datetime.datetime) -> int:
    return _rounded_ns(moment.timestamp())


def _rounded_ns(seconds: float) -> int:
    # Some stores list a number and describe a moment, which has no more than microseconds.
    return round(seconds * 1_000_000) * 1000


def describe(info: dict[str, Any]) -> tuple[int, bytes]:
    """Return time of modification and version from what fsspec's ``info`` says of any store."""
    etag, mtime_ns = info.get("ETag") or info.get("etag"), modified_ns(info)
    return mtime_ns, f"{etag} {mtime_ns}".encode() if etag else b""


def mtime_text(mtime_ns: int) -> str:
    """Return a time as :data:`MTIME` has it."""
    return f"{mtime_ns // _NS}.{mtime_ns % _NS:09}"


class ObjectApi(Protocol):
    """What a store does for a writer; paths are relative to the root.

    :ivar max_deletes: most objects that one call of :meth:`delete` takes
    """

    max_deletes: int

    def upload_arguments(self, mtime_ns: int | None) -> dict[str, Any]:
        """Return the arguments of fsspec's ``open`` for an upload."""
        ...

    def put(self, path: str, data: bytes, mtime_ns: int | None) -> tuple[int, bytes]:
        """Write a small object, and return its time of modification, 0 if it is not known, and its version."""
        ...

    def copy(self, from_path: str, path: str, mtime_ns: int | None, version: bytes | None) -> TreeEntry:
        """Copy one version of an object inside the store, and return the copy.

        :param mtime_ns: for the metadata; ``None`` keeps what the object has
        :param version: that it must have; ``None`` for the one that it has now
        :raises FileChangedError: when it has another, if the store does not refuse it by itself
        """
        ...

    def delete(self, paths: Sequence[str]) -> dict[str, str]:
        """Delete objects, and return why some could not be; missing ones are no error."""
        ...


def api_of(filesystem: AbstractFileSystem, protocols: Collection[str], root: str) -> S3Api | GcsApi | None:
    """Return the calls of a store that has a class of its own here.

    :param protocols: names of the store
    :param root: bucket and prefix
    """
    bucket, _, prefix = root.partition("/")
    prefix = f"{prefix}/" if prefix else ""
    if not {"s3", "s3a"}.isdisjoint(protocols) and hasattr(filesystem, "call_s3"):
        return S3Api(filesystem, bucket, prefix)
    if not {"gs", "gcs"}.isdisjoint(protocols) and hasattr(filesystem, "call"):
        return GcsApi(filesystem, bucket, prefix)
    return None


class S3Api:
    """The calls of S3, over s3fs, which adds the checksums that the store checks.

    :ivar lists_by_key: whether listings are sorted
    :cvar max_deletes: most objects that one call of :meth:`delete` removes

    :param filesystem: a ``S3FileSystem``
    :param bucket: its name
    :param prefix: of all keys, with a slash at its end unless it is empty
    """

    max_deletes = 1000

    def __init__(self, filesystem: AbstractFileSystem, bucket: str, prefix: str) -> None:
        self.prefix = prefix
        # Directory buckets (S3 Express One Zone) list in no order.
        self.lists_by_key = not bucket.endswith("--x-s3")
        self._fs = filesystem
        self._bucket = bucket

    def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        return unless_throttled(lambda: self._fs.call_s3(method, Bucket=self._bucket, **arguments))

    def pages(self, prefix: str, after: str = "") -> Iterator[list[FoundObject]]:
        """List by ``ListObjectsV2``; see :class:`~.objects.listing.Pages`."""
        arguments: dict[str, str] = {"StartAfter": after} if after else {}
        tokens = PageTokens()
        while True:
            page = self._call("list_objects_v2", Prefix=prefix, **arguments)
            found = page.get("Contents", ())
            if found:
                yield [FoundObject(each["Key"], each["Size"], *self.describe(each)) for each in found]
            token = tokens.next(page.get("NextContinuationToken"), is_last=not page.get("IsTruncated"))
            if token is None:
                return
            arguments = {"ContinuationToken": token}

    def describe(self, info: dict[str, Any]) -> tuple[int, bytes]:
        """Return time of modification and version, the ETag, from an entry of a listing, or from what fsspec's ``info`` says."""
        # Not every answer has decimals.
        return modified_ns(info) // _NS * _NS, str(info["ETag"]).strip('"').encode()

    def upload_arguments(self, mtime_ns: int | None) -> dict[str, Any]:
        """Return the arguments of fsspec's ``open`` for an upload."""
        return {} if mtime_ns is None else {"Metadata": {MTIME: mtime_text(mtime_ns)}}

    def put(self, path: str, data: bytes, mtime_ns: int | None) -> tuple[int, bytes]:
        """Write an object with one request."""
        answer = self._call("put_object", Key=self.prefix + path, Body=data, **self.upload_arguments(mtime_ns))
        return self.describe(answer)

    def copy(self, from_path: str, path: str, mtime_ns: int | None, version: bytes | None) -> TreeEntry:
        """Copy an object inside the store; see :class:`ObjectApi`."""
        source, target = (f"{self._bucket}/{self.prefix}{name}" for name in (from_path, path))
        about = self._call("head_object", Key=self.prefix + from_path)
        etag = about["ETag"]
        if version is not None and etag.strip('"').encode() != version:
            raise FileChangedError(f"{from_path!r} changed since it was compared. Compare again.")
        arguments: dict[str, Any] = {"CopySourceIfMatch": etag}
        if mtime_ns is not None:
            arguments |= {"MetadataDirective": "REPLACE", **self.upload_arguments(mtime_ns)}
        if about["ContentLength"] > _MAX_COPY_BYTES:
            unless_throttled(lambda: self._fs.cp_file(source, target, **arguments))
            answer = self._call("head_object", Key=self.prefix + path)
        else:
            copied = self._call("copy_object", Key=self.prefix + path, CopySource=source, **arguments)
            answer = copied["CopyObjectResult"]
        mtime_ns, copied_version = self.describe(answer)
        return TreeEntry(path, "file", int(about["ContentLength"]), mtime_ns, 0, copied_version)

    def delete(self, paths: Sequence[str]) -> dict[str, str]:
        """Delete objects with one request, and return why some could not be; missing ones are no error."""
        keys = [{"Key": self.prefix + path} for path in paths]
        answer = self._call("delete_objects", Delete={"Objects": keys, "Quiet": True})
        failed = answer.get("Errors", ())
        return {each["Key"].removeprefix(self.prefix): f"{each.get('Code')}: {each.get('Message')}" for each in failed}


class _Body(io.BytesIO):
    """A body that is still there for a second try: aiohttp closes what it has sent."""

    def close(self) -> None:
        """Do nothing."""


class GcsApi:
    """The calls of Google Cloud Storage, over gcsfs; see :class:`S3Api`.

    :param filesystem: a ``GCSFileSystem``
    :param bucket: its name
    :param prefix: of all keys, with a slash at its end unless it is empty
    """

    max_deletes = 1
    lists_by_key = True

    def __init__(self, filesystem: AbstractFileSystem, bucket: str, prefix: str) -> None:
        self.prefix = prefix
        self._fs = filesystem
        self._bucket = bucket

    def _call(self, method: str, path: str, *names: str, **arguments: Any) -> dict[str, Any]:
        return unless_throttled(lambda: self._fs.call(method, path, *names, json_out=True, **arguments))

    def pages(self, prefix: str, after: str = "") -> Iterator[list[FoundObject]]:
        """List; see :class:`~.objects.listing.Pages`."""
        arguments = {"prefix": prefix, "maxResults": 1000, "fields": "nextPageToken,items(name,size,updated,generation,metadata)"}
        if after:
            arguments["startOffset"] = after
        tokens = PageTokens()
        while True:
            page = self._call("GET", "b/{}/o", self._bucket, **arguments)
            found = [
                FoundObject(each["name"], int(each["size"]), *self.describe(each))
                for each in page.get("items", ())
                if each["name"] > after
            ]
            if found:
                yield found
            token = tokens.next(page.get("nextPageToken"), is_last=not page.get("nextPageToken"))
            if token is None:
                return
            arguments["pageToken"] = token

    def describe(self, info: dict[str, Any]) -> tuple[int, bytes]:
        """Return time of modification and version, the generation, from what the store says in any of its answers."""
        seconds, _, decimals = str(info.get("metadata", {}).get(MTIME, "")).partition(".")
        if seconds.isdecimal() and len(seconds) <= _MAX_DIGITS and (decimals.isdecimal() or not decimals):
            mtime_ns = int(seconds) * _NS + int(decimals[:9].ljust(9, "0"))
        else:
            mtime_ns = _to_ns(datetime.datetime.fromisoformat(info["updated"]))
        return mtime_ns, str(info["generation"]).encode()

    def upload_arguments(self, mtime_ns: int | None) -> dict[str, Any]:
        """Return the arguments of fsspec's ``open`` for an upload."""
        return {} if mtime_ns is None else {"metadata": {MTIME: mtime_text(mtime_ns)}}

    def put(self, path: str, data: bytes, mtime_ns: int | None) -> tuple[int, bytes]:
        """Write an object with one request; the store checks its MD5."""
        md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        about = json.dumps({"name": self.prefix + path, "md5Hash": md5, **self.upload_arguments(mtime_ns)})
        # The boundary of gcsfs is fixed, and content may contain it.
        boundary = secrets.token_hex(16)
        body = b"".join(
            (
                f"--{boundary}\nContent-Type: application/json; charset=UTF-8\n\n{about}\n".encode(),
                f"--{boundary}\nContent-Type: application/octet-stream\n\n".encode(),
                data,
                f"\n--{boundary}--".encode(),
            )
        )
        answer = self._call(
            "POST",
            f"{self._fs._location}/upload/storage/v1/b/{quote(self._bucket, safe='')}/o",
            uploadType="multipart",
            headers={"Content-Type": f'multipart/related; boundary="{boundary}"'},
            data=_Body(body),
        )
        return self.describe(answer)

    def copy(self, from_path: str, path: str, mtime_ns: int | None, version: bytes | None) -> TreeEntry:
        """Copy an object inside the store; see :class:`ObjectApi`."""
        if version is None:
            about = self._call("GET", "b/{}/o/{}", self._bucket, self.prefix + from_path, fields="generation")
            version = str(about["generation"]).encode()
        # A large object takes several calls, of which each must be about this version. To copy an object to its own place, as for
        # other metadata, is to replace it: what somebody has put there meanwhile must stay.
        arguments: dict[str, Any] = {"ifSourceGenerationMatch": version.decode()}
        if path == from_path:
            arguments["ifGenerationMatch"] = version.decode()
        data = json.dumps(self.upload_arguments(mtime_ns)) if mtime_ns is not None else None
        while True:
            answer = self._call(
                "POST",
                "b/{}/o/{}/rewriteTo/b/{}/o/{}",
                *(self._bucket, self.prefix + from_path, self._bucket, self.prefix + path),
                headers={"Content-Type": "application/json"},
                data=data,
                **arguments,
            )
            if answer["done"]:
                made = answer["resource"]
                made_ns, made_version = self.describe(made)
                return TreeEntry(path, "file", int(made["size"]), made_ns, 0, made_version)
            arguments["rewriteToken"] = answer["rewriteToken"]

    def delete(self, paths: Sequence[str]) -> dict[str, str]:
        """Delete objects; see :class:`ObjectApi`."""
        for path in paths:
            with suppress(FileNotFoundError):
                unless_throttled(partial(self._fs.call, "DELETE", "b/{}/o/{}", self._bucket, self.prefix + path))
        return {}
