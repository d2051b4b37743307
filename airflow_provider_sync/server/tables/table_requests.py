"""Decode the version 2 requests about tables, JSON of bounded size; an error names the wrong field."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from typing import TypeVar

import msgspec

from airflow_provider_sync.databases.table_slice import CanonicalColumn, Keys
from airflow_provider_sync.exceptions import ProtocolError
from airflow_provider_sync.protocol.v1.requests import table_hash_request
from airflow_provider_sync.protocol.v2.checks import check_partitioning, check_segment_ranges
from airflow_provider_sync.protocol.v2.messages import (
    MAX_KEYS,
    MAX_SEGMENTS,
    DescribeTable,
    DescribeTables,
    DigestRows,
    GetRows,
    Partitioning,
    RequestedSlice,
)
from airflow_provider_sync.protocol.v2.tsv import decode_keys
from airflow_provider_sync.protocol.v2.types import LogicalKind
from airflow_provider_sync.server.json_requests import decode_json, invalid_field

MAX_SEGMENT_RANGES = MAX_SEGMENTS
"""Maximum number of segment ranges in one request."""

MAX_BYTES_BESIDE_KEYS = 2 * 1024 * 1024
"""Maximum size of a request without its keys, in bytes: many small values take far more memory than their text."""

Request = TypeVar("Request", DescribeTable, DigestRows, GetRows)

# Each database accepts further forms of these values, which others do not.
_KEY_FORMS = {
    LogicalKind.INTEGER: re.compile(r"-?\d{1,20}", re.ASCII),
    LogicalKind.BOOLEAN: re.compile(r"-?\d{1,20}", re.ASCII),
    LogicalKind.BYTES: re.compile(r"([0-9a-f]{2})*"),
    LogicalKind.UUID: re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
}


class _KeysOnly(msgspec.Struct):
    """The keys of a request, the only field that may be large, left undecoded."""

    keys: msgspec.Raw = msgspec.Raw()


def decode_table_request(body: bytes, kind: type[Request], tables: Container[str]) -> Request:
    """Decode a request.

    :param tables: the names that this client may see
    :raises InvalidRequest: if it is malformed, or names another table
    """
    _check_size(len(body) - len(decode_json(body, _KeysOnly).keys))
    request = decode_json(body, kind)
    return msgspec.structs.replace(request, table_slice=with_offered_name(request.table_slice, tables))


def decode_many_tables_request(body: bytes) -> DescribeTables:
    """Decode a request about many tables; each table that is not offered gets its own failure in the response.

    :raises InvalidRequest: if it is malformed
    """
    _check_size(len(body))
    return decode_json(body, DescribeTables)


def with_offered_name(requested_slice: RequestedSlice, tables: Container[str]) -> RequestedSlice:
    """Return the slice with the table's name as in the configuration.

    :param tables: the names that this client may see
    :raises InvalidRequest: when it names another table
    """
    # Refused with the message of version 1, so that clients need to know only one. It trims blanks around an unknown one.
    name = table_hash_request({"config_name": requested_slice.name}, tables)
    return msgspec.structs.replace(requested_slice, name=name)


def _check_size(size: int) -> None:
    if size > MAX_BYTES_BESIDE_KEYS:
        raise invalid_field("body", f"The request has {size} bytes beside its keys, and {MAX_BYTES_BESIDE_KEYS} are allowed.")


def check_requested_segments(segment_ranges: tuple[tuple[int, int], ...], partitioning: Partitioning) -> None:
    """Check the partitioning of a request, and that its ranges are segments of it.

    :raises InvalidRequest: when they are not, or there are too many
    """
    if len(segment_ranges) > MAX_SEGMENT_RANGES:
        raise invalid_field(
            "segment_ranges",
            f"{len(segment_ranges)} ranges of segments are asked for at once, and {MAX_SEGMENT_RANGES} are allowed.",
        )
    try:
        check_partitioning(partitioning)
    except ProtocolError as error:
        raise invalid_field("partitioning", str(error)) from error
    try:
        check_segment_ranges(segment_ranges, partitioning)
    except ProtocolError as error:
        raise invalid_field("segment_ranges", str(error)) from error


def decode_requested_keys(text: str, key: Sequence[CanonicalColumn]) -> Keys:
    """Decode the keys of a request.

    :param key: the columns of the table's key
    :raises InvalidRequest: when they are not such keys, or too many
    """
    count = text.count("\n")
    if count > MAX_KEYS:
        raise invalid_field("keys", f"{count} keys are asked for at once, and {MAX_KEYS} are allowed.")
    # Checked before the text is split into fields, of which there could be millions.
    if text.count("\t") != count * (len(key) - 1):
        raise invalid_field("keys", f"A key of this table has {len(key)} fields, separated by tabs, and ends with a line feed.")
    try:
        keys = decode_keys(text, len(key))
    except ProtocolError as error:
        raise invalid_field("keys", str(error)) from error
    for place, column in enumerate(key):
        form = _KEY_FORMS.get(column.type.kind)
        if form is not None and not all(form.fullmatch(values[place]) for values in keys):
            name = column.column.name
            raise invalid_field("keys", f"A key has a field {name!r} that is not a value of type {column.type.kind}.")
    return keys
