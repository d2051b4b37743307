"""The hash of a table from a stream of its rows, for where the database cannot compute it.

How values become bytes belongs to the engines of the databases.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha1

from airflow_provider_sync.protocol.v1 import EMPTY


class TableHash:
    """The chain ``crc = sha1_hex(crc + "|" + fields joined by "|")`` over the rows of a table in the order of its key."""

    def __init__(self) -> None:
        self._chain = b""

    def update(self, rows: Iterable[Sequence[bytes]]) -> None:
        """Add rows.

        :param rows: the fields of each row as bytes, NULL as :data:`~airflow_provider_sync.protocol.v1.NULL`
        """
        chain = self._chain
        for row in rows:
            chain = sha1(b"%b|%b" % (chain, b"|".join(row)), usedforsecurity=False).hexdigest().encode()
        self._chain = chain

    def hexdigest(self) -> str:
        """Return the hash of the rows so far: 40 hex digits, or ``--EMPTY--`` when none came."""
        return self._chain.decode() or EMPTY
