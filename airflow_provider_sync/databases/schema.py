"""Tables and their columns, in terms that every engine shares. Each engine's catalog reads them from a database."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

import msgspec

Value = int | float | str | bytes | None
"""A value as it is read, sent and loaded: decimals, dates and times are ``str``; ``bool`` never occurs."""

Row = tuple[Value, ...]


STAGING_PREFIX = "_sync_"
"""Name prefix of staging and work tables, which are never offered, synced or listed."""

HISTORY_TABLES = ("sync_history", "sync_history_version", "sync_running")
"""Names of the tables that hold the history of syncs: its records, and their version."""

OP = "_sync_op"
"""Column of a work table that contains the :class:`Op`; no key column has this name."""


def is_own_table(name: str) -> bool:
    """Whether a table name, without the schema, is that of a table that this package creates for its own use."""
    return name.startswith(STAGING_PREFIX) or name in HISTORY_TABLES


class Op(StrEnum):
    """The operation that a work table lists for a row."""

    DELETE = "D"
    DELETE_LAST = "L"  # deleted after the rows that refer to it
    REPLACE = "R"  # deleted and inserted again, if it cannot be updated
    RENAME = "K"  # the key gets other bytes that the database calls equal; then the row is updated
    UPDATE = "U"
    INSERT = "I"
    PARK = "P"
    END = "E"  # the source lacks the row: it stays, and gets the time of the merge
    VERSION = "V"  # the current version ends, and a new one is inserted


class Kind(StrEnum):
    """The logical type of a column, which decides how its values are rendered and compared."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"  # single precision
    DOUBLE = "double"
    BOOLEAN = "boolean"
    CHAR = "char"  # fixed width: trailing spaces are not part of the value
    TEXT = "text"
    ENUM = "enum"
    SET = "set"
    JSON = "json"
    UUID = "uuid"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"  # without a time zone
    TIMESTAMP = "timestamp"  # with a time zone, rendered in UTC
    YEAR = "year"
    BINARY = "binary"
    BIT = "bit"
    GEOMETRY = "geometry"
    OTHER = "other"  # anything else that has a text form


TEXTUAL = frozenset({Kind.CHAR, Kind.TEXT, Kind.ENUM, Kind.SET, Kind.JSON, Kind.UUID, Kind.OTHER})
"""Kinds whose values must be compared by their bytes, since a collation may call different values equal."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column.

    :ivar sql_type: the type as this database writes it in a CREATE TABLE, for staging tables and messages; for a domain, its base
        type
    :ivar is_domain: whether the column is declared with a domain; staging tables do not have the domain's checks
    :ivar precision: total digits of a decimal; display digits of ``FLOAT(M,D)``, ``DOUBLE(M,D)`` and zero-filled numbers
    :ivar scale: digits after the point: of decimals, of ``DOUBLE(M,D)``, of fractions of a second
    :ivar length: characters of text, bytes of binary, bits of ``bit``
    :ivar charset: character set of the stored text, if the engine has one per column
    :ivar generated: computed by the database; never written
    :ivar invisible: left out of ``SELECT *``
    :ivar system: start or end of a row's version, set by the server, so never equal on two servers
    :ivar insert_only: only an INSERT can set the value: GENERATED ALWAYS AS IDENTITY
    :ivar required: an INSERT must set the value: NOT NULL, without a default, an identity or an expression
    :ivar sets_itself: gets a value other than NULL from an INSERT, or on MySQL also from an UPDATE, that does not set it
    """

    name: str
    kind: Kind
    sql_type: str
    is_domain: bool = False
    nullable: bool = True
    precision: int | None = None
    scale: int | None = None
    length: int | None = None
    unsigned: bool = False
    zerofill: bool = False
    charset: str | None = None
    collation: str | None = None
    generated: bool = False
    invisible: bool = False
    system: bool = False
    required: bool = False
    sets_itself: bool = False
    insert_only: bool = False


class UniqueKey(msgspec.Struct, frozen=True, kw_only=True):
    """A unique constraint or index besides the primary key.

    :ivar deferrable: whether the database can postpone its check to the end of a transaction
    :ivar nulls_distinct: whether several rows may hold NULL
    :ivar hidden: whether no query may name or use its index
    """

    name: str
    columns: tuple[str, ...]
    deferrable: bool = False
    nulls_distinct: bool = True
    hidden: bool = False


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table as its database describes it.

    :ivar schema: schema, or database on MySQL; ``None`` for the connection's default
    :ivar columns: all columns in ordinal order, including generated and invisible ones
    :ivar primary_key: columns of the PRIMARY KEY in index order; empty when there is none
    :ivar unique_keys: unique keys besides the primary key that consist of plain columns
    :ivar foreign_keys: whether the table has foreign keys, or other tables' foreign keys refer to it
    :ivar triggers: names of the triggers on the table, and of its rules on PostgreSQL
    :ivar functions: names of user-defined functions that PostgreSQL calls when rows are written, and that may write themselves
    :ivar resolves_conflicts: whether a constraint of SQLite has an ON CONFLICT clause
    :ivar row_id: the hidden column that orders and identifies the rows if the primary key does not: SQLite's ``rowid``
    :ivar row_filter: in words, the role from which policies hide rows, and the policies; ``None`` if the session sees all rows
    :ivar stands_for: the table to name in messages instead of this one: for a staging table, its target
    :ivar ended_at: the column that is NULL in current rows and has a time in ended ones, which are left out when the table is
        digested, read, counted or hashed; ``None`` if all rows are current
    :ivar cannot_roll_back: name of the storage engine or foreign table, if a rollback may not undo its writes
    :ivar kept_elsewhere: whether another server keeps rows of the table; its foreign keys and triggers cannot be seen
    :ivar is_view: whether this is a view, which is only read
    :ivar former_key: the primary key, if a query changes one of its columns, so that nothing keeps it unique
    :ivar query: the SELECT that returns the rows, percent signs not doubled; ``None`` for a table or view of the database
    """

    name: str
    schema: str | None = None
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    unique_keys: tuple[UniqueKey, ...] = ()
    foreign_keys: bool = False
    triggers: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    resolves_conflicts: bool = False
    row_id: str | None = None
    row_filter: str | None = None
    cannot_roll_back: str | None = None
    kept_elsewhere: bool = False
    stands_for: str | None = None
    is_view: bool = False
    former_key: tuple[str, ...] = ()
    query: str | None = None
    ended_at: Column | None = None

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name

    @property
    def is_derived(self) -> bool:
        """Whether the rows come from a view or a query, which has no key in the database."""
        return (self.is_view or self.query is not None) and not self.primary_key

    @property
    def label(self) -> str:
        """The name to use in messages about the rows."""
        return self.stands_for or str(self)

    def column(self, name: str) -> Column:
        """Return the column called ``name``; ``KeyError`` when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def has_unique(self, names: Collection[str]) -> bool:
        """Whether the primary key or a unique key guarantees that no two rows have the same values in these columns.

        This excludes rows with NULL, which most unique keys allow several times; :meth:`.Reader.find_null` finds them.
        """
        unique = (self.primary_key, *(unique.columns for unique in self.unique_keys))
        return any(columns and set(columns).issubset(names) for columns in unique)

    def is_indexed(self, name: str) -> bool:
        """Whether a unique index begins with this column; other indexes are not described."""
        return self.primary_key[:1] == (name,) or any(unique.columns[0] == name for unique in self.unique_keys)

    @property
    def visible(self) -> tuple[Column, ...]:
        """The columns of ``SELECT *``."""
        return tuple(column for column in self.columns if not column.invisible)
