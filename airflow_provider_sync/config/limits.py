"""Limits: on the deletions of one sync, on what a server may send, and on the load and time of a server's clients."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

import msgspec
from pydantic import Field, WithJsonSchema

from airflow_provider_sync.config.options import VARIABLE, Options, Places, PositiveWhole, Seconds, checked_by
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.printable import printable

DEFAULT_MAX_DELETES = "50%"
_GIB = 1 << 30


class DeleteLimit(msgspec.Struct, frozen=True):
    """How many rows or files one sync may delete: a share of what the target has, or a fixed number.

    A share applies only above :attr:`FREE` deletions, so that small tables and directories never ask.

    :ivar share: at most this share of the target, from 0.0 to 1.0, or ``None``
    :ivar count: at most this many, or ``None``
    """

    FREE = 100

    share: float | None = None
    count: int | None = None

    @classmethod
    def parse(cls, value: str | int) -> Self:
        """Read ``50%`` or ``2000``.

        :raises ConfigurationError: for anything else
        """
        match = re.fullmatch(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*(%?)\s*", str(value))
        if match is None or (match[2] and float(match[1]) > 100) or (not match[2] and "." in match[1]):
            raise ConfigurationError(f"max_deletes is {printable(repr(value), 40)}. Give a number, or a share such as '50%'.")
        return cls(share=float(match[1]) / 100) if match[2] else cls(count=int(match[1]))

    def allows(self, deletes: int, *, of: int) -> bool:
        """Tell whether ``deletes`` of the target's ``of`` rows or files may be deleted."""
        return deletes <= self.most(of=of)

    def most(self, *, of: int) -> int:
        """Return how many of the target's ``of`` rows or files may be deleted."""
        if self.count is not None:
            return self.count
        return max(self.FREE, int(of * (self.share if self.share is not None else 1.0)))


def _checked_limit(value: Any) -> Any:
    DeleteLimit.parse(value)
    return value


MaxDeletes = Annotated[
    str | int,
    checked_by(_checked_limit),
    WithJsonSchema({"type": ["integer", "string"], "minimum": 0, "pattern": rf"^\s*[0-9]+(\.[0-9]+)?\s*%?\s*$|{VARIABLE}"}),
]


class SizeLimits(Options, frozen=True):
    """``limits`` of ``client.yaml``: a sync that reaches one ends before it has stored more, with an error that names it."""

    max_table_bytes: PositiveWhole = Field(
        default=100 * _GIB, description="Bytes, uncompressed, of the rows that one sync of a table may receive."
    )
    max_rows: PositiveWhole = Field(default=2_000_000_000, description="Rows of a table.")
    max_file_bytes: PositiveWhole = Field(default=100 * _GIB, description="Bytes of one file.")
    max_directory_bytes: PositiveWhole = Field(
        default=1024 * _GIB, description="Bytes that one sync of a directory, or one of its batches, may receive."
    )
    max_files: PositiveWhole = Field(
        default=1_000_000,
        description="Files of a directory. Names and digests of a million take about 300 MB of memory.",
    )


class ServerLimits(Options, frozen=True):
    """``limits`` of ``server.yaml``, so that no client can keep the server from answering others. Times are in seconds."""

    requests: Places = Field(
        default=64,
        description="Requests served at once, by all `workers` together. Further ones are answered 503 with `Retry-After`.",
    )
    scans: Places | None = Field(
        default=None,
        description="Requests that read one database at once. Further ones wait, and are answered 503 with `Retry-After` after 20"
        " seconds. Otherwise as many as `requests`.",
    )
    requests_per_minute: Places | None = Field(
        default=None,
        description="Requests of one address in a minute. Further ones are answered 429 with `Retry-After`. Otherwise no limit.",
    )
    snapshots: Places = Field(
        default=4,
        description="Snapshots held at once for clients with `consistent`. Further requests are answered 503 with `Retry-After`.",
    )
    snapshot_seconds: Seconds = Field(
        default=3600.0, description="Longest time for which a snapshot is held, and so the longest run with `consistent`."
    )
    connections: Places = Field(
        default=512,
        description="Connections at once. Above it, the one that has waited longest without a token is closed.",
    )
    connections_per_address: Places = Field(
        default=64, description="Connections of one address that have not shown a token yet. Above it, the oldest is closed."
    )
    head_seconds: Seconds = Field(
        default=10.0,
        description="Longest time from the connection, or the first byte of a request, to the end of the request's head.",
    )
    idle_seconds: Seconds = Field(default=30.0, description="Longest time that a connection may be idle between two requests.")
    stall_seconds: Seconds = Field(
        default=300.0,
        description="Longest time in which a client may send nothing of a request, or read nothing of an answer.",
    )
    min_bytes_per_second: PositiveWhole = Field(
        default=4000, description="Slowest rate at which a client may send or read. A slower one uses up `stall_seconds`."
    )
    max_stream_seconds: Seconds = Field(
        default=21600.0, description="Longest time from the head of a request to the end of its answer."
    )
