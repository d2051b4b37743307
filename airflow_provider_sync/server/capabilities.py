"""What the server can do, and what of it a caller may see."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.protocol.v2.compression import COMPRESSIONS
from airflow_provider_sync.protocol.v2.messages import DIGESTS, Capabilities
from airflow_provider_sync.server.auth import Grant


def capabilities(config: ServerConfig, grant: Grant) -> bytes:
    """Return the answer to ``GET /capabilities`` as JSON: the names that a caller may see, in the order of the configuration.

    Nothing is opened for it, so it says nothing of whether a table is there.
    """
    return msgspec.json.encode(
        Capabilities(
            tables={name: table.windows for name, table in config.tables.items() if name in grant.tables},
            directories=tuple(name for name in config.directories if name in grant.directories),
            compressions=COMPRESSIONS,
            digests=DIGESTS,
        )
    )
