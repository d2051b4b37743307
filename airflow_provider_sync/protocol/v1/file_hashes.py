"""The manifest of a directory as version 1 sends it: paths and hashes, in JSON as PHP writes an array.

PHP writes an array with the keys 0, 1, 2 …, and an empty array, as a JSON list, and any other as an object. This module does
the same, and reads both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import msgspec

from airflow_provider_sync.exceptions import DamagedStreamError, FileError, ProtocolError
from airflow_provider_sync.printable import reason
from airflow_provider_sync.protocol.too_large import too_large
from airflow_provider_sync.protocol.v1.json_text import count_strings, json_text

BLOCK_PATHS = 1_000
"""Number of paths per piece of an encoded manifest."""

_MIN_TEXT_BYTES = 64 * 1024 * 1024
_BYTES_PER_FILE = 256
"""Bytes of memory allowed for the text of each path and hash when a manifest may exceed :data:`_MIN_TEXT_BYTES`."""

_MAX_PATH = 4 * 4095
"""Maximum characters of a path: four for each byte of one that is not UTF-8."""

_SURROGATE = re.compile(rb"\\u[dD][89abAB]")
_FOUR_BYTES = re.compile(rb"[\xf0-\xf4]")


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
    :raises DamagedStreamError: if it is not JSON
    :raises GuardError: for more files than an ``option`` allows
    """
    # Check before decoding: an empty name takes three bytes in JSON, but a hundred in memory.
    if max_files is not None and count_strings(body) > 2 * max_files + 2:
        raise too_large(max_files, option, what="The list of files", unit="files")
    if max_files is not None and _text_bytes(body) > (most := max(_MIN_TEXT_BYTES, max_files * _BYTES_PER_FILE)):
        raise too_large(most, option, what="The text of the list of files", unit="bytes")
    try:
        answer = msgspec.json.decode(body, type=_Manifest)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ProtocolError(f"The answer is not a list of files: {reason(error)}. Is the URL that of a sync server?") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # No server writes such JSON; a proxy may have cut it, and may have announced the shorter length.
        raise DamagedStreamError(
            f"The answer is not a list of files: {reason(error)}. It was cut or damaged on its way. Try again."
        ) from error
    hashes = answer.hashes
    if max_files is not None and len(hashes) + len(answer.unreadable) > max_files:
        raise too_large(max_files, option, what="The list of files", unit="files")
    if isinstance(hashes, list):
        hashes = {str(number): value for number, value in enumerate(hashes)}
    if (longest := max(map(len, chain(hashes, answer.unreadable)), default=0)) > _MAX_PATH:
        raise ProtocolError(f"The answer names a file with a path of {longest} characters. Is the URL that of a sync server?")
    if max_files is not None and _has_more_directories(hashes, max_files):
        raise too_large(max_files, option, what="The list of files", unit="directories")
    return Manifest(hashes, answer.unreadable)


def _text_bytes(body: bytes | bytearray) -> int:
    """Return about how much memory the text of a manifest takes: one character beyond U+FFFF makes four bytes of each."""
    escapes = body.count(b"\\u")
    plain = body.isascii()
    if (escapes and _SURROGATE.search(body)) or not (plain or _FOUR_BYTES.search(body) is None):
        width = 4
    else:
        width = 1 if plain and not escapes else 2
    return width * (len(body) - 5 * escapes)


def _has_more_directories(paths: Iterable[str], most: int) -> bool:
    """Tell whether paths lead through more than a number of directories."""
    # Numbers instead of the paths of directories, which could be as long as all files together, many times.
    seen: set[int] = set()
    for path in paths:
        end = path.rfind("/")
        while end > 0 and (directory := hash(path[:end])) not in seen:
            seen.add(directory)
            end = path.rfind("/", 0, end)
        if len(seen) > most:
            return True
    return False


def _path_text(path: str) -> str:
    try:
        return json_text(path)
    except UnicodeEncodeError as error:
        raise FileError(f"The name of {path!r} is not UTF-8, and cannot be sent. Rename it, or exclude it.") from error
