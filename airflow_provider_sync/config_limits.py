"""``limits`` of both halves: how much a server may send, and how much of a server its clients may occupy, and for how long."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.exceptions import ConfigurationError

_GIB = 1 << 30


class SizeLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``limits`` of ``client.yaml``; a sync that meets one ends before it has stored more, with an error that names it.

    :ivar max_table_bytes: text of the rows that one sync of a table receives
    :ivar max_rows: rows of a table
    :ivar max_file_bytes: content of one file
    :ivar max_directory_bytes: content that one sync of a directory, or one of its batches, receives
    :ivar max_files: files of a directory; names and digests of a million take about 300 MB of memory
    """

    max_table_bytes: int = 100 * _GIB
    max_rows: int = 2_000_000_000
    max_file_bytes: int = 100 * _GIB
    max_directory_bytes: int = 1024 * _GIB
    max_files: int = 1_000_000

    def __post_init__(self) -> None:
        _check_positive(self)


class ServerLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What keeps a server answering whoever else is connected; times are in seconds.

    :ivar requests: requests at work at once, whoever sends them; one more is answered 503 with ``Retry-After``
    :ivar connections: connections at once; for one more, the one that has waited longest without a token is closed
    :ivar connections_per_address: connections of one address that have not shown a token yet; likewise
    :ivar head_seconds: longest time from the connection, or the first byte of a request, to the end of its head
    :ivar idle_seconds: longest time that a connection may be idle between two requests
    :ivar stall_seconds: longest time that a client may stand still in the middle of a body, its own or the server's
    :ivar min_bytes_per_second: slowest rate at which a client has to read, or send, beyond that
    :ivar max_stream_seconds: longest time from the head of a request to the end of its answer
    """

    requests: int = 64
    connections: int = 512
    connections_per_address: int = 64
    head_seconds: float = 10.0
    idle_seconds: float = 30.0
    stall_seconds: float = 300.0
    min_bytes_per_second: int = 4000
    max_stream_seconds: float = 21600.0

    def __post_init__(self) -> None:
        _check_positive(self)


def _check_positive(limits: SizeLimits | ServerLimits) -> None:
    for name in limits.__struct_fields__:
        value = getattr(limits, name)
        # Also refuses what is not a number.
        if not value > 0:
            raise ConfigurationError(f"limits.{name} is {value}. Give more than 0.")
