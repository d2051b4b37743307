"""S3 objects made of parts: uploads of unknown size, and copies that are too large for one request."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from airflow_provider_sync.files.objects.uploads import Made

Call = Callable[..., dict[str, Any]]
"""Calls a method of S3 on one bucket; repeated while the store throttles it."""


class Parts:
    """An object that is made of parts; it is invisible until :meth:`complete` returns.

    :param key: of the object
    :param arguments: of ``CreateMultipartUpload``, such as metadata
    """

    def __init__(self, call: Call, key: str, arguments: dict[str, Any]) -> None:
        self._call = call
        self._etags: list[str] = []
        self._upload = {"Key": key, "UploadId": call("create_multipart_upload", Key=key, **arguments)["UploadId"]}

    def add(self, data: bytes) -> None:
        """Upload the next part; all but the last have at least 5 MiB."""
        self._etags.append(self._call("upload_part", **self._next(), Body=data)["ETag"])

    def copy(self, source: dict[str, str], start: int, end: int) -> None:
        """Let the store copy the next part from another object.

        :param source: the object to copy from, and conditions that it must meet, as arguments of ``UploadPartCopy``
        :param start: the first byte
        :param end: the byte after the last
        """
        answer = self._call("upload_part_copy", **self._next(), **source, CopySourceRange=f"bytes={start}-{end - 1}")
        self._etags.append(answer["CopyPartResult"]["ETag"])

    def complete(self) -> dict[str, Any]:
        """Complete the object, and return the store's answer, with the ETag."""
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(self._etags, 1)]
        return self._call("complete_multipart_upload", **self._upload, MultipartUpload={"Parts": parts})

    def abort(self) -> None:
        """Remove the uploaded parts; no error if they are gone."""
        with suppress(FileNotFoundError):
            self._call("abort_multipart_upload", **self._upload)

    def _next(self) -> dict[str, Any]:
        return {**self._upload, "PartNumber": len(self._etags) + 1}


class S3Upload:
    """An upload of unknown size; see :class:`~.objects.uploads.Upload`. Content that fits in one part is sent in one request.

    :param part_bytes: bytes of a part; memory holds one part
    :param arguments: arguments of ``PutObject`` and ``CreateMultipartUpload``
    :param describe: returns time of modification and version from an answer
    """

    def __init__(
        self, call: Call, key: str, part_bytes: int, arguments: dict[str, Any], describe: Callable[[dict[str, Any]], Made]
    ) -> None:
        self._call = call
        self._key = key
        self._part_bytes = part_bytes
        self._arguments = arguments
        self._describe = describe
        self._parts: Parts | None = None
        self._rest = bytearray()

    def write(self, data: bytes) -> None:
        """Append all of ``data``."""
        self._rest += data
        while len(self._rest) > self._part_bytes:
            if self._parts is None:
                self._parts = Parts(self._call, self._key, self._arguments)
            self._parts.add(bytes(memoryview(self._rest)[: self._part_bytes]))
            del self._rest[: self._part_bytes]

    def complete(self) -> Made:
        """Complete the object, and return its time of modification and version."""
        if self._parts is None:
            return self._describe(self._call("put_object", Key=self._key, Body=bytes(self._rest), **self._arguments))
        self._parts.add(bytes(self._rest))
        return self._describe(self._parts.complete())

    def abort(self) -> None:
        """Abort the upload."""
        if self._parts is not None:
            self._parts.abort()
