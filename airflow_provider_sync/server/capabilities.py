"""The answer to ``GET /capabilities``."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.protocol.v2.compression import COMPRESSIONS
from airflow_provider_sync.protocol.v2.file_messages import FILE_DIGEST
from airflow_provider_sync.protocol.v2.messages import DIGESTS, Capabilities
from airflow_provider_sync.server.auth import Grant


def capabilities(config: ServerConfig, grant: Grant) -> bytes:
    """Return as JSON what the server can do, with the names that a caller may see, in the order of the configuration.

    No database is asked, so a table that is listed may be missing there.
    """
    return msgspec.json.encode(
        Capabilities(
            tables={name: table.windows for name, table in config.tables.items() if name in grant.tables},
            directories=tuple(name for name in config.directories if name in grant.directories),
            compressions=COMPRESSIONS,
            digests=DIGESTS,
            file_digests=(FILE_DIGEST,),
        )
    )
