"""Name staging tables, and find them by their names.

A permanent staging table is named ``_sync_<digest>_<time>``. The digest of target and run lets a retry find the table of the
failed attempt. The creation time lets ``clean`` find tables that no run will use again.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable

from sqlalchemy import Connection, inspect

from airflow_provider_sync.databases.schema import STAGING_PREFIX, Table

_NAME = re.compile(re.escape(STAGING_PREFIX) + r"([0-9a-f]{16})_([0-9a-f]{8,})")


def staging_digest(target: Table, run: str = "") -> str:
    """Return 16 hex digits that identify a target and a run."""
    return hashlib.sha256(json.dumps([target.schema, target.name, run]).encode()).hexdigest()[:16]


def staging_name(target: Table, run: str, created: float) -> str:
    """Return the name of a staging table.

    :param created: time of its creation, in seconds since 1970
    """
    return f"{STAGING_PREFIX}{staging_digest(target, run)}_{int(created):08x}"


def find_staging(
    connection: Connection, *, schemas: Iterable[str | None] = (None,), digest: str | None = None
) -> list[tuple[Table, float]]:
    """Find permanent staging tables.

    :param schemas: schemas to search; ``None`` for the connection's default
    :param digest: find only the tables of this target and run; see :func:`staging_digest`
    :return: tables, without their columns, each with its age in seconds
    """
    now = time.time()
    inspector = inspect(connection)
    found = []
    for schema in schemas:
        if schema is None and inspector.default_schema_name is None:
            continue  # the MySQL URL names no database, so no target can be in the default one
        for name in inspector.get_table_names(schema):
            match = _NAME.fullmatch(name)
            if match and digest in (None, match[1]):
                found.append((Table(name=name, schema=schema, columns=()), now - int(match[2], 16)))
    return found
