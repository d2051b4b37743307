"""A table's details from the catalog, besides columns and key: indexes, foreign keys, defaults, comments; for all engines."""

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
    """A foreign key as the catalog describes it.

    :ivar parent_schema: schema of the parent table; ``None`` if it is the child table's
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
    """The details of a table besides columns and key, as the catalog describes them.

    :ivar defaults: defaults by column
    :ivar comments: comments by column
    :ivar comment: comment of the table
    :ivar untold: pairs of a column, or ``None``, and a description for people of a detail that cannot be sent
    """

    indexes: tuple[IndexDescription, ...] = ()
    foreign_keys: tuple[FoundForeignKey, ...] = ()
    defaults: Mapping[str, DefaultValue] = field(default_factory=dict)
    comments: Mapping[str, str] = field(default_factory=dict)
    comment: str | None = None
    untold: tuple[tuple[str | None, str], ...] = ()


def read_default(sql: str) -> DefaultValue | None:
    """Parse the SQL of a default: a literal, perhaps with a cast, or the current time.

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
    """Parse the defaults of columns.

    :param expressions: pairs of a column and the SQL of its default, ``None`` for a column without one
    :return: defaults by column, and descriptions of those that cannot be sent, each with its column
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
