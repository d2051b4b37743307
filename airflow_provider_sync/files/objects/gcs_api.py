"""The calls of Google Cloud Storage, over gcsfs."""

from __future__ import annotations

import base64
import datetime
import hashlib
import io
import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any
from urllib.parse import quote

from fsspec import AbstractFileSystem

from airflow_provider_sync.files.objects.api import MTIME, mtime_text, nanoseconds
from airflow_provider_sync.files.objects.ordered_listing import FoundObject, PageTokens
from airflow_provider_sync.files.objects.throttling import unless_throttled
from airflow_provider_sync.files.objects.uploads import FileUpload
from airflow_provider_sync.files.tree import TreeEntry

_NS = 1_000_000_000
# Largest plausible number of seconds since the epoch.
_MAX_DIGITS = 11


class _BadRequestError(Exception):
    """The store answered that the request is invalid."""

    code = 400


@contextmanager
def _naming_refusals() -> Iterator[None]:
    """Raise typed exceptions for two refusals that gcsfs distinguishes only by the text of the message."""
    try:
        yield
    except ValueError as error:
        raise _BadRequestError(str(error)) from error
    except OSError as error:
        if error.errno is None and str(error).startswith("Forbidden: "):
            raise PermissionError(str(error)) from error
        raise


class _Body(io.BytesIO):
    """A request body that can be sent again: aiohttp closes bodies after sending them."""

    def close(self) -> None:
        """Do nothing."""


class GcsApi:
    """The calls of Google Cloud Storage, over gcsfs; see :class:`~.objects.s3_api.S3Api`.

    :param filesystem: a ``GCSFileSystem``
    :param bucket: its name
    :param prefix: prefix of all keys, with a slash at its end unless it is empty
    """

    max_deletes = 1
    lists_by_key = True

    def __init__(self, filesystem: AbstractFileSystem, bucket: str, prefix: str) -> None:
        self.prefix = prefix
        self._fs = filesystem
        self._bucket = bucket

    def _call(self, method: str, path: str, *names: str, **arguments: Any) -> dict[str, Any]:
        with _naming_refusals():
            return unless_throttled(lambda: self._fs.call(method, path, *names, json_out=True, **arguments))

    def pages(self, prefix: str, after: str = "") -> Iterator[list[FoundObject]]:
        """List; see :class:`.Pages`."""
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
        """Return time of modification and version (the generation) from any answer of the store about an object."""
        seconds, _, decimals = str(info.get("metadata", {}).get(MTIME, "")).partition(".")
        if seconds.isdecimal() and len(seconds) <= _MAX_DIGITS and (decimals.isdecimal() or not decimals):
            mtime_ns = int(seconds) * _NS + int(decimals[:9].ljust(9, "0"))
        else:
            mtime_ns = nanoseconds(datetime.datetime.fromisoformat(info["updated"]))
        return mtime_ns, str(info["generation"]).encode()

    def begin_upload(self, path: str, part_bytes: int, mtime_ns: int | None) -> FileUpload:
        """Begin the upload of a large object; see :class:`~.objects.uploads.Upload`."""
        key = f"{self._bucket}/{self.prefix}{path}"
        file = self._fs.open(key, "wb", block_size=part_bytes, **_metadata(mtime_ns))

        def made() -> tuple[int, bytes] | None:
            # Some versions of gcsfs drop it.
            generation = getattr(file, "generation", None)
            return None if generation is None else (mtime_ns or 0, str(generation).encode())

        return FileUpload(file, made)

    def put(self, path: str, data: bytes, mtime_ns: int | None) -> tuple[int, bytes]:
        """Write an object with one request; the store checks its MD5."""
        md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        about = json.dumps({"name": self.prefix + path, "md5Hash": md5, **_metadata(mtime_ns)})
        # gcsfs has a fixed multipart boundary, which content may contain.
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
        """Copy an object inside the store; see :class:`.ObjectApi`."""
        if version is None:
            about = self._call("GET", "b/{}/o/{}", self._bucket, self.prefix + from_path, fields="generation")
            version = str(about["generation"]).encode()
        # A large object takes several calls, and each must be about this version. Copying an object onto itself, as for
        # new metadata, replaces it: an object that another writer has put there in between must stay.
        arguments: dict[str, Any] = {"ifSourceGenerationMatch": version.decode()}
        if path == from_path:
            arguments["ifGenerationMatch"] = version.decode()
        data = json.dumps(_metadata(mtime_ns)) if mtime_ns is not None else None
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
        """Delete objects; see :class:`.ObjectApi`."""
        for path in paths:
            with suppress(FileNotFoundError), _naming_refusals():
                unless_throttled(partial(self._fs.call, "DELETE", "b/{}/o/{}", self._bucket, self.prefix + path))
        return {}


def _metadata(mtime_ns: int | None) -> dict[str, Any]:
    return {} if mtime_ns is None else {"metadata": {MTIME: mtime_text(mtime_ns)}}
