"""What version 2 answers, as a client reads it: from the bytes to descriptions, digests and rows."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_sync.protocol.v2 import tsv
from airflow_provider_sync.protocol.v2.messages import (
    DIGEST_BYTES,
    Described,
    DescribeTable,
    DigestRows,
    GetRows,
    Message,
    Partitioning,
    RequestedSlice,
    RowDigests,
    Rows,
    Segments,
)
from airflow_provider_sync.protocol.v2.stream import parse_media_type, read_messages
from tests.server.wire import Answer, ask

T = RequestedSlice(name="t")
"""All columns and rows of the table that most tests serve."""

ALL = Partitioning(scheme="row_hash", segment_count=1)
"""A partitioning of one segment, for the digests of all rows."""

LIMIT = 1 << 30
"""The most bytes of an answer, more than any test gets."""

Key = tuple[str, ...]
"""The canonical texts of a row's key."""


def messages(answer: Answer) -> list[Message]:
    """Return the messages of a whole answer."""
    assert answer.status == 200, answer.body
    assert answer.headers["content-encoding"] == "identity"
    return list(read_messages([answer.body], parse_media_type(answer.headers["content-type"]), limit=LIMIT))


def describe(url: str, requested_slice: RequestedSlice = T, **asked: Any) -> tuple[Described, dict[int, tuple[int, int]]]:
    """Return the description of a table, and count and sum of its segments."""
    described, *rest = messages(ask(url, "/describeTable", DescribeTable(table_slice=requested_slice, **asked)))
    assert isinstance(described, Described)
    segments: dict[int, tuple[int, int]] = {}
    for message in rest:
        assert isinstance(message, Segments)
        segments.update(zip(message.numbers, zip(message.counts, message.sums, strict=True), strict=True))
    return described, segments


def digests(url: str, partitioning: Partitioning = ALL, *, requested_slice: RequestedSlice = T, **asked: Any) -> dict[Key, int]:
    """Return the digests of rows by key, as they come over the wire."""
    found: dict[Key, int] = {}
    request = DigestRows(
        table_slice=requested_slice,
        partitioning=partitioning,
        **(asked or {"segment_ranges": ((0, partitioning.segment_count - 1),)}),
    )
    for message in messages(ask(url, "/digestRows", request)):
        assert isinstance(message, RowDigests)
        keys = tsv.decode_keys(message.keys, message.keys.partition(b"\n")[0].count(b"\t") + 1) if message.keys else []
        cut = [message.digests[at : at + DIGEST_BYTES] for at in range(0, len(message.digests), DIGEST_BYTES)]
        assert message.count == len(keys) == len(cut)
        found.update(zip(keys, map(int.from_bytes, cut), strict=True))
    return found


def rows(
    url: str, columns: int, *, requested_slice: RequestedSlice = T, keys: str | None = None
) -> list[tuple[bytes | None, ...]]:
    """Return rows, sorted."""
    found: list[tuple[bytes | None, ...]] = []
    for message in messages(ask(url, "/getRows", GetRows(table_slice=requested_slice, keys=keys))):
        assert isinstance(message, Rows)
        batch = tsv.decode_rows(message.data, columns)
        assert len(batch) == message.count
        found += batch
    return sorted(found, key=repr)


def refusal(answer: Answer) -> tuple[str, str]:
    """Return the field and the one message of a refusal."""
    assert (answer.status, answer.headers["content-type"]) == (422, "application/json"), answer.body[:200]
    [(field, [message])] = json.loads(answer.body).items()
    return field, message
