"""Hold the source's descriptions of the tables that a run creates, up to a size limit that protects memory."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.messages import Described

MAX_BYTES = 48 * 1024 * 1024
"""Maximum size of all descriptions in bytes on the wire: enough for a million columns; in memory they take five times as much."""


class Descriptions(dict[str, Described]):
    """Descriptions by the names under which the server offers the tables."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0

    def keep(self, name: str, described: Described) -> None:
        """Add a description.

        :raises TableError: if all descriptions together exceed :data:`MAX_BYTES`
        """
        self._bytes += len(msgspec.msgpack.encode(described))
        if self._bytes > MAX_BYTES:
            raise TableError(
                f"The tables to make, from {next(iter(self), name)!r} to {name!r}, have too many columns for one transaction."
                " Set single_transaction to false, or sync fewer tables at once."
            )
        self[name] = described
