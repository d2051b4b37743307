"""User-configurable rules of database sessions."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import TableError


class SessionRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rules for the sessions of one database.

    :ivar allow_row_security: sync only the rows that policies let the role see, instead of failing
    :ivar keep_time_limits: keep the role's time limits for statements and transactions
    :ivar lock_seconds: longest wait for a lock of another session or sync, in seconds, if shorter than the engine's limit
    """

    allow_row_security: bool = False
    keep_time_limits: bool = False
    lock_seconds: int | None = None


def check_all_rows_seen(table: Table, name: str, *, allowed: bool) -> None:
    """Refuse a table if policies hide some of its rows from the session's role, since a mirror would delete those rows.

    :param name: name of the table, for the message
    :param allowed: whether the user wants to sync only the visible rows
    :raises TableError: naming the table, the policies and both remedies
    """
    if table.row_filter and not allowed:
        raise TableError(
            f"Table {name!r}: row-level security hides rows from {table.row_filter}. A sync would take them for missing."
            " Connect as a role that sees all rows (BYPASSRLS, or the owner of a table without FORCE ROW LEVEL SECURITY), or set"
            " allow_row_security for the table to sync only the rows that this role sees."
        )
