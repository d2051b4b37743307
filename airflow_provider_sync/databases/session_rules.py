"""What a session of a database may do that is the user's choice, and not the same for every sync."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import TableError


class SessionRules(msgspec.Struct, frozen=True, kw_only=True):
    """Choices for the sessions of one database.

    :ivar allow_row_security: see only the rows that policies let the role see, rather than fail
    :ivar keep_time_limits: leave the role's own limits for statements and transactions in force
    :ivar lock_seconds: longest wait for what somebody else has locked, where the engine would wait for longer
    """

    allow_row_security: bool = False
    keep_time_limits: bool = False
    lock_seconds: int | None = None


def check_all_rows_seen(table: Table, name: str, *, allowed: bool) -> None:
    """Refuse a table of which the session's role sees only some rows: a mirror would delete the others, or call them equal.

    :param name: of the table, for the message
    :param allowed: whether the user has said that the visible rows are what is meant
    :raises TableError: naming table, policies and both remedies
    """
    if table.row_filter and not allowed:
        raise TableError(
            f"Table {name!r}: row-level security hides rows from {table.row_filter}. A sync would take them for missing."
            " Connect as a role that sees all rows (BYPASSRLS, or the owner of a table without FORCE ROW LEVEL SECURITY), or set"
            " allow_row_security for the table to sync only the rows that this role sees."
        )
