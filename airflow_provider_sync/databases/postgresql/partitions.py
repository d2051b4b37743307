"""Refuse to write to a partitioned table and to one of its partitions at the same time, since they share rows."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from airflow_provider_sync.exceptions import ConfigurationError

_INSIDE = """
SELECT part.quoted, whole.quoted
FROM unnest(%s::text[]) AS part(quoted) CROSS JOIN LATERAL pg_partition_ancestors(to_regclass(part.quoted)) AS above(relid)
JOIN unnest(%s::text[]) AS whole(quoted) ON to_regclass(whole.quoted) = above.relid AND whole.quoted <> part.quoted
ORDER BY 1, 2
"""


def refuse_partitions(connection: Connection, names: Mapping[str, str]) -> None:
    """Check that no table is a partition of another one.

    :param names: names of the tables as users know them, by quoted name with schema
    :raises ConfigurationError: naming both tables
    """
    found = connection.exec_driver_sql(_INSIDE, (list(names), list(names))).first()
    if found is not None:
        part, whole = (names[quoted] for quoted in found)
        raise ConfigurationError(
            f"{part!r} is a partition of {whole!r} at the target, so that both syncs would write the same rows. Leave one of them"
            " out, or give one another target with 'table'."
        )
