"""What catalogs say of a table besides its columns and key: indexes, foreign keys, defaults and comments, for all engines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from airflow_provider_sync.protocol.v2.described_details import Action, DefaultValue, IndexDescription

_TEXT = re.compile(r"'((?:[^'\\\0]|'')*)'(?:::[\w \".,()\[\]]+)?")
_NUMBER = re.compile(r"(\(?)([+-]?\d+(?:\.\d+)?)(\)?)(?:::[\w \".,()\[\]]+)?")
_BOOLEAN = {"true": "1", "false": "0"}
_NOW = re.compile(r"(?:current_timestamp|now|localtimestamp|transaction_timestamp)(?:\(\d?\))?", re.IGNORECASE)
_NULL = re.compile(r"NULL(?:::[\w \".,()\[\]]+)?", re.IGNORECASE)

ACTIONS: Mapping[str, Action] = {action: action for action in ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT")}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundForeignKey:
    """A foreign key as the catalog has it.

    :ivar parent_schema: schema of the table to which it refers; ``None`` if it is the table's own
    """

    name: str
    columns: tuple[str, ...]
    parent_schema: str | None
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: Action = "NO ACTION"
    on_update: Action = "NO ACTION"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDetails:
    """What a table has besides its columns and its key, as its catalog has it.

    :ivar defaults: by column
    :ivar comments: by column
    :ivar comment: of the table
    :ivar untold: what cannot be described, in words for people, each with the column that it is about, if it is about one
    """

    indexes: tuple[IndexDescription, ...] = ()
    foreign_keys: tuple[FoundForeignKey, ...] = ()
    defaults: Mapping[str, DefaultValue] = field(default_factory=dict)
    comments: Mapping[str, str] = field(default_factory=dict)
    comment: str | None = None
    untold: tuple[tuple[str | None, str], ...] = ()


def read_default(sql: str) -> DefaultValue | None:
    """Read a default as SQL has it: a literal, perhaps with a cast, or the present time.

    :return: ``None`` for any other expression
    """
    sql = sql.strip()
    if match := _TEXT.fullmatch(sql):
        return DefaultValue(match[1].replace("''", "'"))
    if (match := _NUMBER.fullmatch(sql)) and bool(match[1]) == bool(match[3]):
        return DefaultValue(match[2])
    if sql.lower() in _BOOLEAN:
        return DefaultValue(_BOOLEAN[sql.lower()])
    return DefaultValue() if _NOW.fullmatch(sql) else None


def read_defaults(expressions: Iterable[tuple[str, str | None]]) -> tuple[dict[str, DefaultValue], list[tuple[str | None, str]]]:
    """Read the defaults of columns.

    :param expressions: column and SQL of its default, which may be missing
    :return: the defaults by column, and those that are no literals
    """
    defaults: dict[str, DefaultValue] = {}
    untold: list[tuple[str | None, str]] = []
    for column, sql in expressions:
        if sql is None or _NULL.fullmatch(sql.strip()):
            continue
        found = read_default(sql)
        if found is None:
            untold.append((column, f"default of column {column!r}, which is an expression"))
        else:
            defaults[column] = found
    return defaults, untold
