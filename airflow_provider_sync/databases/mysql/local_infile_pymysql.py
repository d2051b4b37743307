"""Restrict the files that pymysql sends: the server's request is checked before the driver opens the file."""

from __future__ import annotations

from typing import Any

from pymysql import connections, err

from airflow_provider_sync.databases.mysql.local_file import REFUSED, file_name, refusal
from airflow_provider_sync.databases.opening_limit import limit_opening_of

_CONFINABLE = (
    hasattr(connections, "LoadLocalPacketWrapper")
    and hasattr(connections.Connection, "_read_query_result")
    and hasattr(connections.MySQLResult, "_read_load_local_packet")
)
"""Whether this release of pymysql has the methods that are overridden here; with other releases, no file is sent."""


def connect(arguments: dict[str, Any], *, load: bool) -> Any:
    """Open a connection that sends no file; with ``load``, one for which :func:`offer` can allow a file."""
    return _Guarded(**arguments, local_infile=load and _CONFINABLE)


def guard(connection: Any) -> None:
    """Do nothing: no file is offered to a connection that other code opened, so a request for one is an error."""


def can_send(connection: Any) -> bool:
    """Whether :func:`offer` works."""
    return _CONFINABLE and isinstance(connection, _Guarded)


def offer(connection: Any, descriptor: int | None) -> None:
    """Allow the server to request the file of this descriptor by its name in the next statement; ``None`` for no file."""
    connection.offered = None if descriptor is None else file_name(descriptor)


class _Guarded(connections.Connection):  # type: ignore[misc]  # it has no annotations
    """A connection that sends only the offered file.

    :ivar offered: name of the offered file
    """

    offered: str | None = None

    def _get_server_information(self) -> None:
        limit_opening_of(self)  # the socket exists now, and pymysql waits for the server's greeting without a timeout
        super()._get_server_information()

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        """Read as the driver does, through :class:`_Result`."""
        self._result = None
        result = _Result(self)
        if unbuffered:
            result.init_unbuffered_query()
        else:
            result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows


class _Result(connections.MySQLResult):  # type: ignore[misc]  # it has no annotations
    def _read_load_local_packet(self, first_packet: Any) -> None:
        asked = connections.LoadLocalPacketWrapper(first_packet).filename.decode(errors="replace")
        if asked != self.connection.offered:
            # Send an empty file, so that the server answers the statement.
            self.connection.write_packet(b"")
            self.connection._read_packet()
            raise err.OperationalError(REFUSED, refusal(asked))
        super()._read_load_local_packet(first_packet)
