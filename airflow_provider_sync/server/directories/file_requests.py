"""Decode the version 2 requests about directories, JSON of bounded size; an error names the wrong field."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TypeVar

import msgspec

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.paths import check_name
from airflow_provider_sync.protocol.v1.json_text import count_strings
from airflow_provider_sync.protocol.v1.requests import file_hashes_request
from airflow_provider_sync.protocol.v2.file_messages import (
    CHUNKING,
    MAX_PATHS,
    MAX_RANGES,
    ChunkFile,
    DigestFiles,
    ListFiles,
    ReadFiles,
    RequestedFile,
)
from airflow_provider_sync.server.json_requests import decode_json, invalid_field

_STRINGS_OF_A_FILE = 5
"""Maximum number of strings per requested file: its path and the names of its fields."""

_MAX_SIZE = 1 << 63

Request = TypeVar("Request", ListFiles, DigestFiles, ReadFiles, ChunkFile)


def decode_file_request(body: bytes, kind: type[Request], directories: Container[str]) -> Request:
    """Decode a request, and check everything that does not depend on the directory's content.

    :param directories: the names that this client may see
    :raises InvalidRequest: if it is malformed, requests too much, names another directory, or has an impossible path
    """
    # Checked before decoding: an empty path takes three bytes in JSON, and many times that in memory.
    if count_strings(body) > _STRINGS_OF_A_FILE * MAX_PATHS:
        raise invalid_field("body", f"More than {MAX_PATHS} files are asked for at once.")
    request = decode_json(body, kind)
    # Refused with the version 1 message, so that clients need to know only one; it strips blanks around an unknown name.
    name = file_hashes_request({"config_name": request.directory}, directories)
    if request.folder is not None:
        _check_path("folder", request.folder)
    match request:
        case DigestFiles():
            _check_count("paths", request.paths)
            for number, path in enumerate(request.paths):
                _check_path(f"paths[{number}]", path)
        case ReadFiles():
            _check_files(request.files)
        case ChunkFile():
            _check_path("path", request.path)
            if request.chunking != CHUNKING:
                raise invalid_field("chunking", f"The server cuts files by {CHUNKING!r} only.")
        case ListFiles():
            pass
    return msgspec.structs.replace(request, directory=name)


def _check_files(files: Sequence[RequestedFile]) -> None:
    _check_count("files", files)
    ranges = 0
    for number, file in enumerate(files):
        _check_path(f"files[{number}].path", file.path)
        if not 0 <= file.size < _MAX_SIZE:
            raise invalid_field(f"files[{number}].size", f"A file cannot have {file.size} bytes.")
        if file.ranges is not None:
            ranges += len(file.ranges)
            if ranges > MAX_RANGES:
                raise invalid_field("files", f"More than {MAX_RANGES} ranges are asked for at once.")
            _check_ranges(f"files[{number}].ranges", file.ranges, file.size)


def _check_ranges(field: str, ranges: Sequence[tuple[int, int]], size: int) -> None:
    if not ranges:
        raise invalid_field(field, "Name at least one range, or leave it out for the whole file.")
    least = 0
    for offset, length in ranges:
        if length <= 0 or not least <= offset <= size - length:
            raise invalid_field(
                field, f"The range of {length} bytes at {offset} is out of order, empty, or not in a file of {size} bytes."
            )
        least = offset + length


def _check_count(field: str, items: Sequence[object]) -> None:
    if len(items) > MAX_PATHS:
        raise invalid_field(field, f"{len(items)} files are asked for at once, and {MAX_PATHS} are allowed.")


def _check_path(field: str, path: str) -> None:
    try:
        check_name(path)
    except FileError as error:
        raise invalid_field(field, str(error)) from error
