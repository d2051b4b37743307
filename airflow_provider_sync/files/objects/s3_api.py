"""The calls of S3, over s3fs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from fsspec import AbstractFileSystem

from airflow_provider_sync.exceptions import FileChangedError
from airflow_provider_sync.files.objects.api import MTIME, modified_ns, mtime_text
from airflow_provider_sync.files.objects.ordered_listing import FoundObject, PageTokens
from airflow_provider_sync.files.objects.s3_parts import Parts, S3Upload
from airflow_provider_sync.files.objects.throttling import unless_throttled
from airflow_provider_sync.files.tree import TreeEntry

_NS = 1_000_000_000
# Larger objects are copied in parts.
_MAX_COPY_BYTES = 5 * 1024**3
# Bytes of such a part: an object has at most 10,000 parts and 5 TiB.
_COPIED_BYTES = 1024**3
# Properties that a copy in parts does not keep by itself.
_KEPT = ("Metadata", "ContentType", "ContentEncoding", "ContentDisposition", "ContentLanguage", "CacheControl")
# Characters that XML 1.0 cannot represent, not even as a reference.
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class S3Api:
    """The calls of S3, over s3fs, which adds the checksums that the store checks.

    :ivar lists_by_key: whether listings are sorted
    :cvar max_deletes: most objects that one call of :meth:`delete` removes

    :param filesystem: a ``S3FileSystem``
    :param bucket: its name
    :param prefix: prefix of all keys, with a slash at its end unless it is empty
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
        """List by ``ListObjectsV2``; see :class:`.Pages`."""
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
        """Return time of modification and version (the ETag) from an entry of a listing, or from fsspec's ``info``."""
        # Only some answers have decimals.
        return modified_ns(info) // _NS * _NS, str(info["ETag"]).strip('"').encode()

    def begin_upload(self, path: str, part_bytes: int, mtime_ns: int | None) -> S3Upload:
        """Begin the upload of a large object; see :class:`~.objects.uploads.Upload`."""
        return S3Upload(self._call, self.prefix + path, part_bytes, _metadata(mtime_ns), self.describe)

    def put(self, path: str, data: bytes, mtime_ns: int | None) -> tuple[int, bytes]:
        """Write an object with one request."""
        answer = self._call("put_object", Key=self.prefix + path, Body=data, **_metadata(mtime_ns))
        return self.describe(answer)

    def copy(self, from_path: str, path: str, mtime_ns: int | None, version: bytes | None) -> TreeEntry:
        """Copy an object inside the store; see :class:`~.objects.api.ObjectApi`."""
        about = self._call("head_object", Key=self.prefix + from_path)
        etag, size = about["ETag"], int(about["ContentLength"])
        if version is not None and etag.strip('"').encode() != version:
            raise FileChangedError(f"{from_path!r} changed since it was compared. Compare again.")
        source = {"CopySource": f"{self._bucket}/{self.prefix}{from_path}", "CopySourceIfMatch": etag}
        metadata = _metadata(mtime_ns)
        if size > _MAX_COPY_BYTES:
            kept = {name: about[name] for name in _KEPT if name in about}
            answer = self._copy_in_parts(path, source, size, metadata or kept)
        else:
            arguments = {"MetadataDirective": "REPLACE", **metadata} if metadata else {}
            answer = self._call("copy_object", Key=self.prefix + path, **source, **arguments)["CopyObjectResult"]
        mtime_ns, copied_version = self.describe(answer)
        return TreeEntry(path, "file", size, mtime_ns, 0, copied_version)

    def _copy_in_parts(self, path: str, source: dict[str, str], size: int, arguments: dict[str, Any]) -> dict[str, Any]:
        """Copy an object that is too large for one request; every part must come from the same version."""
        parts = Parts(self._call, self.prefix + path, arguments)
        try:
            for start in range(0, size, _COPIED_BYTES):
                parts.copy(source, start, min(start + _COPIED_BYTES, size))
            return parts.complete()
        except BaseException:
            parts.abort()
            raise

    def delete(self, paths: Sequence[str]) -> dict[str, str]:
        """Delete objects with one request; return the reason for each that could not be deleted. A missing object is no error.

        A key that XML cannot represent gets a request of its own: otherwise the store would refuse the whole request.
        """
        keys = []
        for path in paths:
            key = self.prefix + path
            if _NOT_IN_XML.search(key):
                self._call("delete_object", Key=key)
            else:
                keys.append({"Key": key})
        if not keys:
            return {}
        answer = self._call("delete_objects", Delete={"Objects": keys, "Quiet": True})
        failed = answer.get("Errors", ())
        return {each["Key"].removeprefix(self.prefix): f"{each.get('Code')}: {each.get('Message')}" for each in failed}

    def unfinished_uploads(self) -> Iterator[tuple[str, str, float]]:
        """Yield path, id and start (seconds since the epoch) of each upload that was neither completed nor aborted."""
        position: dict[str, str] = {}
        while True:
            page = self._call("list_multipart_uploads", Prefix=self.prefix, **position)
            for upload in page.get("Uploads", ()):
                if upload["Key"].startswith(self.prefix):
                    yield upload["Key"].removeprefix(self.prefix), upload["UploadId"], upload["Initiated"].timestamp()
            following = {"KeyMarker": page.get("NextKeyMarker", ""), "UploadIdMarker": page.get("NextUploadIdMarker", "")}
            if not page.get("IsTruncated") or following == position or not following["KeyMarker"]:
                return
            position = following

    def abort_upload(self, path: str, upload_id: str) -> None:
        """Abort an upload; no error if it was aborted or completed before."""
        with suppress(FileNotFoundError):
            self._call("abort_multipart_upload", Key=self.prefix + path, UploadId=upload_id)


def _metadata(mtime_ns: int | None) -> dict[str, Any]:
    return {} if mtime_ns is None else {"Metadata": {MTIME: mtime_text(mtime_ns)}}
