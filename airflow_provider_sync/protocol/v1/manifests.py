"""The manifest of a directory as version 1 sends it: paths and hashes, in JSON as PHP writes an array.

An array with the keys 0, 1, 2 … is a list to PHP, and so is an empty one: both ways are written and understood.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec

from airflow_provider_sync.exceptions import FileError, ProtocolError
from airflow_provider_sync.protocol.v1.json_text import json_text

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


def decode_hashes(body: bytes) -> dict[str, str]:
    """Read the answer of ``/getFileHashes``: path to hash, in the order in which they came.

    :raises ProtocolError: for anything but an object of strings, or a list of strings, under ``hashes``
    """
    try:
        hashes = msgspec.json.decode(body, type=_Manifest).hashes
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"The answer is not a list of files: {error}. Is the URL that of a sync server?") from error
    if isinstance(hashes, list):
        return {str(number): value for number, value in enumerate(hashes)}
    return hashes


def _path_text(path: str) -> str:
    try:
        return json_text(path)
    except UnicodeEncodeError as error:
        raise FileError(f"The name of {path!r} is not UTF-8, and cannot be sent. Rename it, or exclude it.") from error
