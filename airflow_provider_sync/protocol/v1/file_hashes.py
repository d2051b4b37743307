"""The manifest of a directory as version 1 sends it: paths and hashes, in JSON as PHP writes an array.

PHP writes an array with the keys 0, 1, 2 …, and an empty array, as a JSON list, and any other as an object. This module does
the same, and reads both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import msgspec

from airflow_provider_sync.exceptions import FileError, ProtocolError
from airflow_provider_sync.printable import reason
from airflow_provider_sync.protocol.too_large import too_large
from airflow_provider_sync.protocol.v1.json_text import count_strings, json_text

BLOCK_PATHS = 1_000
"""Number of paths per piece of an encoded manifest."""


class Manifest(msgspec.Struct, frozen=True):
    """The answer of a server about a directory.

    :ivar hashes: path to hash; ``""`` if the server does not hash
    :ivar unreadable: path to reason, for what the server cannot send. The path of a directory ends with ``/``; a name that is not
        UTF-8 is escaped. Servers send this only on request (:data:`.requests.UNREADABLE`)
    """

    hashes: dict[str, str]
    unreadable: dict[str, str]


class _Manifest(msgspec.Struct, frozen=True):
    hashes: dict[str, str] | list[str]
    unreadable: dict[str, str] = {}


def encode_hashes(hashes: Iterable[tuple[str, str]], unreadable: Mapping[str, str] | None = None) -> Iterator[bytes]:
    """Write the answer of ``/getFileHashes``, in pieces.

    :param hashes: path and hash of each file; the hash is ``""`` if the hasher returns none
    :param unreadable: see :class:`Manifest`; ``None`` for a client that did not ask
    :raises FileError: for a path that is not text
    """
    end = "}"
    if unreadable is not None:
        end = f',"unreadable":{{{",".join(f"{json_text(path)}:{json_text(why)}" for path, why in unreadable.items())}}}}}'
    pairs = iter(hashes)
    numbered: list[tuple[str, str]] = []
    for path, value in pairs:
        if path != str(len(numbered)):
            pairs = chain(numbered, [(path, value)], pairs)
            break
        numbered.append((path, value))
    else:
        yield f'{{"hashes":[{",".join(json_text(value) for _, value in numbered)}]{end}'.encode()
        return
    before = '{"hashes":{'
    lines: list[str] = []
    for path, value in pairs:
        lines.append(f"{_path_text(path)}:{json_text(value)}")
        if len(lines) == BLOCK_PATHS:
            yield (before + ",".join(lines)).encode()
            before, lines = ",", []
    yield ((before + ",".join(lines) if lines else "") + "}" + end).encode()


def decode_manifest(body: bytes | bytearray, *, max_files: int | None = None, option: str | None = None) -> Manifest:
    """Read the answer of ``/getFileHashes``: path to hash, in the order of the answer, and what cannot be read.

    :param max_files: maximum number of files to accept
    :param option: name of the option that sets the limit, for messages
    :raises ProtocolError: if ``hashes`` is neither an object of strings nor a list of strings
    :raises GuardError: for more files than an ``option`` allows
    """
    # Check before decoding: an empty name takes three bytes in JSON, but a hundred in memory.
    if max_files is not None and count_strings(body) > 2 * max_files + 2:
        raise too_large(max_files, option, what="The list of files", unit="files")
    try:
        answer = msgspec.json.decode(body, type=_Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"The answer is not a list of files: {reason(error)}. Is the URL that of a sync server?") from error
    hashes = answer.hashes
    if max_files is not None and len(hashes) + len(answer.unreadable) > max_files:
        raise too_large(max_files, option, what="The list of files", unit="files")
    if isinstance(hashes, list):
        hashes = {str(number): value for number, value in enumerate(hashes)}
    return Manifest(hashes, answer.unreadable)


def _path_text(path: str) -> str:
    try:
        return json_text(path)
    except UnicodeEncodeError as error:
        raise FileError(f"The name of {path!r} is not UTF-8, and cannot be sent. Rename it, or exclude it.") from error
