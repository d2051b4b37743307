"""Tables and their columns, in terms that every engine shares. Each engine's catalog reads them from a database."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

import msgspec

Value = int | float | str | bytes | None
"""A value as it is read, sent and loaded: decimals, dates and times are text; ``bool`` never occurs."""

Row = tuple[Value, ...]


STAGING_PREFIX = "_sync_"
"""Prefix of the names of staging and work tables, which are never offered, synced or listed."""

HISTORY_TABLES = ("sync_history", "sync_history_version", "sync_running")
"""Names of the tables that hold the history of syncs: its records, and their version."""

OP = "_sync_op"
"""Column of a work table that holds the :class:`Op`; a name that no column of a key has."""


def is_own_table(name: str) -> bool:
    """Whether a table, by its name without the schema, is one of those that this package makes for itself."""
    return name.startswith(STAGING_PREFIX) or name in HISTORY_TABLES


class Op(StrEnum):
    """The operation that a work table lists for a row."""

    DELETE = "D"
    DELETE_LAST = "L"  # deleted after the rows that refer to it
    REPLACE = "R"  # deleted and inserted again, if it cannot be updated
    RENAME = "K"  # its key gets another form that the database calls equal; then it is updated
    UPDATE = "U"
    INSERT = "I"
    PARK = "P"
    END = "E"  # the source lacks it: it stays, and gets the time when that was found
    VERSION = "V"  # its version ends, and another one begins


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
"""Kinds whose values must be compared by their bytes, since a collation may call different ones equal."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column.

    :ivar sql_type: the type as this database writes it in a CREATE TABLE, for staging tables and messages; below all domains
    :ivar is_domain: whether it is declared with a domain, whose checks hold only in the table itself
    :ivar precision: total digits of a decimal; display digits of ``FLOAT(M,D)``, ``DOUBLE(M,D)`` and zero-filled numbers
    :ivar scale: digits after the point: of decimals, of ``DOUBLE(M,D)``, of fractions of a second
    :ivar length: characters of text, bytes of binary, bits of ``bit``
    :ivar charset: character set that the column is stored in, where columns have one
    :ivar generated: computed by the database; never written
    :ivar invisible: left out of ``SELECT *``
    :ivar system: when the server says that a version of the row began or ended, which is never equal on two servers
    :ivar insert_only: takes a value only from an insert: GENERATED ALWAYS AS IDENTITY
    :ivar required: an insert has to name it: NOT NULL, without a default, an identity or an expression
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
    insert_only: bool = False


class UniqueKey(msgspec.Struct, frozen=True, kw_only=True):
    """A unique constraint or index beside the primary key.

    :ivar deferrable: whether the database can postpone its check to the end of a transaction
    :ivar nulls_distinct: whether several rows may hold NULL
    """

    name: str
    columns: tuple[str, ...]
    deferrable: bool = False
    nulls_distinct: bool = True


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table as its database describes it.

    :ivar schema: its schema, or database on MySQL; ``None`` for the connection's default
    :ivar columns: all of them in ordinal order, generated and invisible ones too
    :ivar primary_key: columns of the PRIMARY KEY in index order; empty when there is none
    :ivar unique_keys: unique keys beside the primary key, whose columns are all plain columns
    :ivar foreign_keys: whether the table has foreign keys, or others refer to it
    :ivar triggers: names of the triggers on the table, and of its rules on PostgreSQL
    :ivar functions: names of functions of somebody's own that PostgreSQL calls for rows that are written, and that may write, too
    :ivar resolves_conflicts: whether a constraint says what SQLite does with rows that it does not allow
    :ivar row_id: the hidden column that orders and names the rows where the primary key does not: SQLite's ``rowid``
    :ivar row_filter: from whom policies hide rows, and which policies; ``None`` where the session sees all rows
    :ivar stands_for: the table that messages name instead: the target of a staging table
    :ivar ended_at: the column that says since when a row does not count any more; rows in which it is not NULL are left out when
        the table is digested, read, counted or hashed; ``None`` if all rows count
    :ivar cannot_roll_back: name of the storage engine, if a rollback does not undo its writes
    :ivar is_view: whether it is a view, which is only read
    :ivar former_key: its primary key, if a query changes columns of that, so that nothing keeps it unique
    :ivar query: the SELECT whose rows it has, percent signs not doubled; ``None`` if the database has it under its name
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
    stands_for: str | None = None
    is_view: bool = False
    former_key: tuple[str, ...] = ()
    query: str | None = None
    ended_at: Column | None = None

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name

    @property
    def is_derived(self) -> bool:
        """Whether its rows are those of a view or a query, which has no key of its own."""
        return (self.is_view or self.query is not None) and not self.primary_key

    @property
    def label(self) -> str:
        """The name that messages about its rows say."""
        return self.stands_for or str(self)

    def column(self, name: str) -> Column:
        """Return the column called ``name``; ``KeyError`` when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def has_unique(self, names: Collection[str]) -> bool:
        """Whether the primary key or a unique key promises that no two rows have the same values in these columns.

        It promises nothing of rows with NULL, which :meth:`.Reader.find_null` finds: most unique keys let several be alike.
        """
        unique = (self.primary_key, *(unique.columns for unique in self.unique_keys))
        return any(columns and set(columns).issubset(names) for columns in unique)

    def is_indexed(self, name: str) -> bool:
        """Whether a unique index finds rows by this column; other indexes are not known here."""
        return self.primary_key[:1] == (name,) or any(unique.columns[0] == name for unique in self.unique_keys)

    @property
    def visible(self) -> tuple[Column, ...]:
        """The columns of ``SELECT *``."""
        return tuple(column for column in self.columns if not column.invisible)
