"""The options of a table that server and client share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from pydantic import Field, ValidationInfo, model_validator
from pydantic.json_schema import SkipJsonSchema

from airflow_provider_sync.config.options import Name, Options, named_entries, wrong_reference, wrong_value
from airflow_provider_sync.config.table_patterns import is_pattern, same_wildcards, translated
from airflow_provider_sync.exceptions import ConfigurationError

AnyTable = TypeVar("AnyTable", bound="TableConfig")


class TableConfig(Options, frozen=True):
    """One table under the name that goes over the wire, or all tables whose names match a pattern.

    :ivar name: what stands before the options in a file
    """

    name: SkipJsonSchema[Name]
    connection: str | None = Field(
        default=None,
        repr=False,  # the URL may hold a password
        description="A name under `connections`, or a database URL. Otherwise the default connection.",
    )
    table: Name | None = Field(
        default=None,
        description="Name in the database; `schema.table` if the schema is not the default one. For a pattern, one with the same"
        " wildcards: `public.*` for `shop.*`. Otherwise the name here.",
    )
    exclude: tuple[Name, ...] = Field(
        default=(),
        description="Names, or patterns of names, that a pattern leaves out. `tmp_*` also leaves out `shop.tmp_1`.",
    )
    primary: Name | tuple[Name, ...] | None = Field(
        default=None, description="The column, or the columns, that identify a row. Otherwise the table's primary key."
    )
    columns: tuple[Name, ...] = Field(default=(), description="The columns to sync. Empty for all.")
    hasher: str | None = Field(
        default=None,
        description="Import path of a class with `hash(engine, table) -> str`, for version 1. Otherwise the protocol's hash.",
    )
    allow_row_security: bool = Field(
        default=False,
        description="Sync only the rows that PostgreSQL's row-level security shows to the role, instead of failing.",
    )

    @property
    def table_name(self) -> str:
        """Name of the table in the database; of a pattern, the pattern of these names."""
        return self.table or self.name

    @property
    def is_pattern(self) -> bool:
        """Whether these options are those of every table that the name matches."""
        return is_pattern(self.name)

    def named(self, name: str) -> Self:
        """Return the options of one table that this pattern matches."""
        table = None if self.table is None else translated(name, self.name, self.table)
        return self.model_copy(update={"name": name, "table": table, "exclude": ()})

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Configured key columns, empty when the table's own key is meant."""
        if self.primary is None:
            return ()
        return (self.primary,) if isinstance(self.primary, str) else self.primary

    @model_validator(mode="after")
    def _is_meant_for_a_pattern(self) -> Self:
        if not self.is_pattern:
            if self.exclude:
                raise wrong_value("exclude needs a pattern such as '*', and this is the name of one table. Leave it out.")
        elif self.table is not None and not same_wildcards(self.name, self.table):
            raise wrong_value(f"table is {self.table!r}. Give it the wildcards of the pattern, or leave it out.")
        return self


def table_entries(entries: Any) -> Any:
    """Read what stands under ``tables``: a mapping of names to options, or a pattern, or a list with patterns.

    A list of names alone stays what it is, and so a mistake: options are usually needed.
    """
    names = [entries] if isinstance(entries, str) else entries
    if isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names) and any(map(is_pattern, names)):
        entries = dict.fromkeys(names)
    return named_entries(entries)


def connection_url(connections: Mapping[str, str], default: str | None, table: TableConfig) -> str:
    """Return the database URL for ``table``: its own, the one that it names, or the default.

    :raises ConfigurationError: when there is none
    """
    name = table.connection or default
    if name is None and len(connections) == 1:
        name = next(iter(connections))
    if name is None:
        raise ConfigurationError(f"Table {table.name!r} has no connection. Set connection for it, or default_connection.")
    if name in connections:
        return connections[name]
    if "://" in name:
        return name
    raise ConfigurationError(
        f"Table {table.name!r} names the connection {name!r}, which is not under connections."
        " Add it there, or give a database URL."
    )


def has_connection(table: AnyTable, read: ValidationInfo) -> AnyTable:
    """Check, while a file is read, that a table's connection is among those of the file.

    For pydantic: it raises a ``PydanticCustomError`` when it is not
    """
    # What cannot be used itself is not in `data`, and is reported where it stands.
    if {"connections", "default_connection"} <= read.data.keys():
        try:
            connection_url(read.data["connections"], read.data["default_connection"], table)
        except ConfigurationError as error:
            raise wrong_reference(str(error)) from error
    return table
