"""Messages about a table's details besides columns and key: secondary indexes, foreign keys, defaults and comments.

A client asks for them to create a missing target. They are values, never SQL: a default is a literal or the current time; any
other detail is only named. The client writes the statements itself.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from airflow_provider_sync.protocol.v1 import MAX_NAME

MAX_DETAILS = 1_000
"""Maximum number of indexes, and of foreign keys, of a table."""

MAX_TEXT = 10_000
"""Maximum characters of a default or a comment."""

MAX_INDEX_COLUMNS = 64

# A driver would truncate a statement at a zero byte.
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME, pattern=r"^[^\0]*$")]
Names = Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=MAX_INDEX_COLUMNS)]
Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
Action = Literal["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"]
"""Referential actions: what a foreign key does to child rows when their parent is deleted or its key changes."""


class IndexDescription(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A secondary index over plain columns.

    :ivar columns: names at the source, in the order of the index
    :ivar descending: those of ``columns`` that are sorted in descending order
    """

    name: Name
    columns: Names
    descending: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MAX_INDEX_COLUMNS)] = ()
    unique: bool = False


class ForeignKeyDescription(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A foreign key.

    :ivar columns: names at the source
    :ivar parent: the name under which the server offers the parent table
    :ivar parent_columns: names at the source
    """

    name: Name
    columns: Names
    parent: Name
    parent_columns: Names
    on_delete: Action = "NO ACTION"
    on_update: Action = "NO ACTION"


class DefaultValue(msgspec.Struct, frozen=True, omit_defaults=True):
    """The default of a column.

    :ivar text: the value, without quotes; ``None`` for the current time
    """

    text: Text | None = None


class TableDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The details of a table besides its columns and key.

    :ivar defaults: defaults by column
    :ivar comments: comments by column
    :ivar comment: comment of the table
    :ivar untold: descriptions for people of details that cannot be sent, such as an index over an expression
    """

    indexes: Annotated[tuple[IndexDescription, ...], msgspec.Meta(max_length=MAX_DETAILS)] = ()
    foreign_keys: Annotated[tuple[ForeignKeyDescription, ...], msgspec.Meta(max_length=MAX_DETAILS)] = ()
    defaults: Annotated[dict[str, DefaultValue], msgspec.Meta(max_length=MAX_DETAILS)] = {}
    comments: Annotated[dict[str, Text], msgspec.Meta(max_length=MAX_DETAILS)] = {}
    comment: Text | None = None
    untold: Annotated[tuple[Text, ...], msgspec.Meta(max_length=MAX_DETAILS)] = ()
