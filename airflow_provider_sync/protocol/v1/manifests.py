"""The manifest of a directory as version 1 sends it: paths and hashes, in JSON as PHP writes an array.

An array with the keys 0, 1, 2 … is a list to PHP, and so is an empty one: both ways are written and understood.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec

from airflow_provider_sync.exceptions import FileError, ProtocolError
from airflow_provider_sync.protocol.too_large import too_large
from airflow_provider_sync.protocol.v1.json_text import count_strings, json_text

BLOCK_PATHS = 1_000
"""Paths in one piece of an encoded manifest."""


class _Manifest(msgspec.Struct, frozen=True):
    hashes: dict[str, str] | list[str]


def encode_hashes(hashes: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """Write the answer of ``/getFileHashes``, in pieces.

    :param hashes: path and hash of each file; the hash is empty where the hasher gives none
    :raises FileError: for a path that is not text
    """
    pairs = iter(hashes)
    numbered: list[tuple[str, str]] = []
    for path, value in pairs:
        if path != str(len(numbered)):
            pairs = chain(numbered, [(path, value)], pairs)
            break
        numbered.append((path, value))
    else:
        yield f'{{"hashes":[{",".join(json_text(value) for _, value in numbered)}]}}'.encode()
        return
    before = '{"hashes":{'
    lines: list[str] = []
    for path, value in pairs:
        lines.append(f"{_path_text(path)}:{json_text(value)}")
        if len(lines) == BLOCK_PATHS:
            yield (before + ",".join(lines)).encode()
            before, lines = ",", []
    yield (before + ",".join(lines) + "}}").encode() if lines else b"}}"


def decode_hashes(body: bytes | bytearray, *, max_files: int | None = None, option: str | None = None) -> dict[str, str]:
    """Read the answer of ``/getFileHashes``: path to hash, in the order in which they came.

    :param max_files: most files that there may be
    :param option: that sets the limit, for messages
    :raises ProtocolError: for anything but an object of strings, or a list of strings, under ``hashes``
    :raises GuardError: for more files than an ``option`` allows
    """
    # Before anything is made of it: an empty name takes three bytes here, and a hundred as an entry.
    if max_files is not None and count_strings(body) > 2 * max_files + 1:
        raise too_large(max_files, option, what="The list of files", unit="files")
    try:
        hashes = msgspec.json.decode(body, type=_Manifest).hashes
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"The answer is not a list of files: {error}. Is the URL that of a sync server?") from error
    if max_files is not None and len(hashes) > max_files:
        raise too_large(max_files, option, what="The list of files", unit="files")
    if isinstance(hashes, list):
        return {str(number): value for number, value in enumerate(hashes)}
    return hashes


def _path_text(path: str) -> str:
    try:
        return json_text(path)
    except UnicodeEncodeError as error:
        raise FileError(f"The name of {path!r} is not UTF-8, and cannot be sent. Rename it, or exclude it.") from error
