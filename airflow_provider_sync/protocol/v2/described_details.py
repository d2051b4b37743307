"""What a table has besides its columns and its key: secondary indexes, foreign keys, defaults and comments.

A client asks for them to make a missing target. They are values, never SQL: a default is a literal or the present time, and what
cannot be said like that is only named. The client writes the statements itself.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from airflow_provider_sync.protocol.v1 import MAX_NAME

MAX_DETAILS = 1_000
"""Most indexes, and most foreign keys, of a table."""

MAX_TEXT = 10_000
"""Most characters of a default or a comment."""

MAX_INDEX_COLUMNS = 64

# A driver would cut a statement at a zero byte.
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME, pattern=r"^[^\0]*$")]
Names = Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=MAX_INDEX_COLUMNS)]
Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
Action = Literal["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"]
"""What a foreign key does to rows that refer to one that is deleted or whose key changes."""


class IndexDescription(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An index over plain columns, beside the primary key.

    :ivar columns: names at the source, in the order of the index
    :ivar descending: those of them that are sorted from the highest value down
    """

    name: Name
    columns: Names
    descending: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MAX_INDEX_COLUMNS)] = ()
    unique: bool = False


class ForeignKeyDescription(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A foreign key.

    :ivar columns: names at the source
    :ivar parent: the name under which the server offers the table to which it refers
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

    :ivar text: the value, as it is written without quotes; ``None`` for the present time
    """

    text: Text | None = None


class TableDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a table has besides its columns and its key.

    :ivar defaults: by column
    :ivar comments: by column
    :ivar comment: of the table
    :ivar untold: what cannot be described, such as an index over an expression, in words for people
    """

    indexes: Annotated[tuple[IndexDescription, ...], msgspec.Meta(max_length=MAX_DETAILS)] = ()
    foreign_keys: Annotated[tuple[ForeignKeyDescription, ...], msgspec.Meta(max_length=MAX_DETAILS)] = ()
    defaults: Annotated[dict[str, DefaultValue], msgspec.Meta(max_length=MAX_DETAILS)] = {}
    comments: Annotated[dict[str, Text], msgspec.Meta(max_length=MAX_DETAILS)] = {}
    comment: Text | None = None
    untold: Annotated[tuple[Text, ...], msgspec.Meta(max_length=MAX_DETAILS)] = ()
