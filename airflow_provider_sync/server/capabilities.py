"""The response to ``GET /capabilities``."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.protocol.v2.compression import COMPRESSIONS
from airflow_provider_sync.protocol.v2.file_messages import FILE_DIGEST
from airflow_provider_sync.protocol.v2.messages import DIGESTS, MAX_TABLES, Capabilities
from airflow_provider_sync.server.access.grants import Grant
from airflow_provider_sync.server.tables.offered_tables import OfferedTables


def capabilities(config: ServerConfig, tables: OfferedTables, grant: Grant) -> bytes:
    """Return the server's capabilities as JSON, with the names that a caller may see, in the order of the configuration.

    Databases are queried only for patterns, so a table that the configuration names is listed even if it does not exist.

    :raises TransportError: if the database of a pattern does not answer
    :raises ConfigurationError: if patterns match too many tables
    """
    return msgspec.json.encode(
        Capabilities(
            tables={table.name: table.windows for table in tables.visible_to(grant).list()},
            directories=tuple(name for name in config.directories if name in grant.directories),
            compressions=COMPRESSIONS,
            digests=DIGESTS,
            file_digests=(FILE_DIGEST,),
            tables_per_request=MAX_TABLES,
            details=True,
            snapshots=True,
            described_rows=True,
            named_keys=True,
        )
    )
