"""The options of one table, at the server and at the client."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator
from pydantic.json_schema import SkipJsonSchema, WithJsonSchema

from airflow_provider_sync.config.limits import DEFAULT_MAX_DELETES, MaxDeletes
from airflow_provider_sync.config.options import (
    Name,
    Options,
    PositiveNumber,
    PositiveWhole,
    checked_unicode,
    entry_from_options,
    named_entries,
    wrong_reference,
    wrong_value,
)
from airflow_provider_sync.config.table_mode import MODE_COLUMNS, Mode, mode_mistakes
from airflow_provider_sync.config.table_patterns import is_pattern, same_wildcards, translated
from airflow_provider_sync.exceptions import ConfigurationError


def _window(value: Any) -> Any:
    """Turn what YAML reads as numbers and dates back into text, and check that a column and two values are there."""
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) != 3:
        raise wrong_value(f"window must be a list of 3, not of {len(value)}.")
    column, first, end = (bound.isoformat() if isinstance(bound, date) else str(bound) for bound in value)
    if first == end:
        raise wrong_value(
            f"window begins and ends at {first!r}, so no row is in it."
            " In a DAG use a timetable with intervals, such as CronDataIntervalTimetable."
        )
    return column, first, end


def _distinct(renames: dict[str, str]) -> dict[str, str]:
    if len(set(renames.values())) != len(renames):
        raise wrong_value("renames give two columns one name. Name each target column once.")
    return renames


Window = Annotated[tuple[Name, Name, Name], BeforeValidator(_window)]
Renames = Annotated[dict[Name, Name], AfterValidator(_distinct)]
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


def _sql(option: str) -> AfterValidator:
    """Refuse empty SQL, and take the semicolon off its end."""

    def checked(text: str) -> str:
        if not (sql := text.strip().removesuffix(";").rstrip()):
            raise wrong_value(f"{option} is empty. Write it, or leave the option out.")
        return checked_unicode(sql)

    return AfterValidator(checked)


def _masks(masks: Any) -> Any:
    """Take ``null``, which YAML reads as no value, for the mask of that name."""
    if not isinstance(masks, Mapping):
        return masks
    return {column: NULL_MASK if mask is None else mask for column, mask in masks.items()}


Condition = Annotated[str, _sql("where")]
Conditions = Condition | tuple[Condition, ...]


def listed_conditions(where: Conditions) -> tuple[str, ...]:
    """Return conditions as a list, however many were written."""
    return (where,) if isinstance(where, str) else where


Masks = Annotated[
    dict[str, Annotated[str, _sql("mask")]],
    BeforeValidator(_masks),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "null"]}}),
]

HASH_MASK, REDACT_MASK, NULL_MASK, YEAR_MASK = "hash", "redact", "null", "year"
"""The masks that have a name; any other is an expression in SQL."""


class SourceTable(TableConfig, frozen=True):
    """A table, a view or a query that a server offers."""

    query: Annotated[str, _sql("query")] | None = Field(
        default=None,
        description="A SELECT whose rows are offered, in place of a table. It is trusted, and needs `primary`.",
    )
    where: Conditions = Field(
        default=(), description="A condition in SQL that the offered rows fulfil, or a list of those. Otherwise all rows."
    )
    mask: Masks = Field(
        default={},
        description="What is sent in place of a column's values: `hash` (by `mask_key`), `redact`, `null`, `year`, or an"
        " expression in SQL.",
    )
    windows: tuple[str, ...] = Field(default=(), description="Columns by which clients may ask for a range of rows (version 2).")

    @property
    def schema_name(self) -> str | None:
        """The schema in which a pattern looks for tables; ``None`` for the default one."""
        schema, dot, _ = self.table_name.partition(".")
        return schema if dot else None

    @model_validator(mode="after")
    def _names_its_schema(self) -> Self:
        if self.is_pattern and self.schema_name is not None and is_pattern(self.schema_name):
            raise wrong_value(f"{self.table_name!r} has wildcards in the schema's name. Give each schema a pattern of its own.")
        return self

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.query is not None and self.table is not None:
            raise wrong_value("query and table are both given. Leave one of them out.")
        if self.query is not None and self.is_pattern:
            raise wrong_value("query is that of one table, and this is a pattern. Give the table a name of its own.")
        if self.query is not None and not self.primary_key:
            raise wrong_value("query needs 'primary': name the columns that identify one of its rows.")
        if self.hasher is not None and self.is_changed:
            raise wrong_value("hasher reads the table itself, without query, where and mask. Leave it out.")
        return self

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions that all offered rows fulfil."""
        return listed_conditions(self.where)

    def seen_as(self, name: str, conditions: tuple[str, ...]) -> Self:
        """Return the options of this table as some clients see it.

        :param name: by which they ask for it
        :param conditions: that the rows they see fulfil besides
        """
        table = None if self.query is not None else self.table_name
        return self.model_copy(update={"name": name, "table": table, "where": (*self.conditions, *conditions)})

    @property
    def is_changed(self) -> bool:
        """Whether other rows or values are offered than those of a table or a view."""
        return self.query is not None or bool(self.where) or bool(self.mask)

    @property
    def needs_mask_key(self) -> bool:
        """Whether a column is hashed."""
        return HASH_MASK in self.mask.values()


class TargetTable(TableConfig, frozen=True):
    """A table that a client keeps in step."""

    renames: Renames = Field(default={}, description="Column names of the source, each with the target's name for it.")
    max_deletes: MaxDeletes = Field(
        default=DEFAULT_MAX_DELETES,
        description="How much one sync may delete: a share such as `50%`, which applies above 100 rows, or a number of rows.",
    )
    allow_empty_source: bool = Field(default=False, description="Let an empty source empty the target.")
    allow_non_transactional: bool = Field(
        default=False, description="Sync into a table that cannot be rolled back, such as one of MyISAM."
    )
    on_schema_change: Literal["fail", "add", "ignore", "widen"] = Field(
        default="fail",
        description="What to do about columns of the source that the target lacks: `fail`, `add` them (version 2), `ignore` them,"
        " or `widen`: add them, and widen types that are too narrow (version 2).",
    )
    gone_columns: Literal["keep", "set_null"] = Field(
        default="keep",
        description="What to do about the values of columns that only the target has: `keep` them, or `set_null`: forget them in"
        " all rows.",
    )
    create_table: bool = Field(
        default=False, description="Create a missing target with the source's columns, types and key (version 2)."
    )
    create_indexes: bool = Field(
        default=False,
        description="Give a target that `create_table` makes the source's indexes, unique keys, foreign keys, defaults and"
        " comments, too, as far as its database can have them.",
    )
    window: Window | None = Field(
        default=None,
        description="A column of the source, its first value, and the value after its last: only rows between are synced"
        " (version 2).",
    )
    mode: Mode = Field(
        default="mirror",
        description="What happens to rows that the source lacks, and to rows that differ: `mirror` deletes and updates them,"
        " `upsert` only updates, `append` only inserts new rows, `soft_delete` marks what the source lacks, and `history` keeps"
        " one row for each version.",
    )
    deleted_at: str = Field(
        default="deleted_at", description="For `soft_delete`: the target's column for the time (UTC) at which a row was missed."
    )
    valid_from: str = Field(
        default="valid_from", description="For `history`: the target's column for the time (UTC) at which a version began."
    )
    valid_to: str = Field(
        default="valid_to", description="For `history`: the target's column for the time (UTC) at which a version ended."
    )
    is_current: str = Field(
        default="is_current", description="For `history`: the target's column that tells whether a version did not end yet."
    )
    import_indexes: tuple[str, ...] = Field(default=(), description="Columns of the staging table to index, beside the key.")
    staging: str = Field(
        default="permanent",
        description="`permanent`, `temporary`, or the import path of a class with `create` and `drop`.",
    )
    verify: bool = Field(
        default=True,
        description="Whether to compare the target, before the commit, with the staged rows and with what the source announced.",
    )
    max_seconds: PositiveNumber | None = Field(
        default=None,
        description="Longest time, in seconds, for comparing and downloading this table. Otherwise the client's.",
    )
    drop_missing: tuple[str, ...] = Field(
        default=(),
        description="Of a pattern: names of tables of the target, or patterns of them, that belong to the source: those that it"
        " does not offer any more are dropped.",
    )
    max_drops: PositiveWhole = Field(default=1, description="Of a pattern with `drop_missing`: most tables that one run drops.")

    @property
    def mode_columns(self) -> dict[str, str]:
        """Names of the columns that the mode needs, by the option that names them."""
        return {option: getattr(self, option) for option in MODE_COLUMNS.get(self.mode, ())}

    def named(self, name: str) -> Self:
        """Return the options of one table that this pattern matches."""
        return super().named(name).model_copy(update={"drop_missing": (), "max_drops": 1})

    @model_validator(mode="after")
    def _keeps_nothing_of_its_own(self) -> Self:
        """Refuse to drop tables that hold what the source does not have."""
        for option in ("drop_missing", "max_drops"):
            if option in self.model_fields_set and not self.is_pattern:
                raise wrong_value(f"{option} needs a pattern such as '*', and this is the name of one table. Leave it out.")
        if self.drop_missing and self.mode != "mirror":
            raise wrong_value(f"drop_missing would drop rows that mode {self.mode} keeps. Leave one of them out.")
        if self.drop_missing and self.window is not None:
            raise wrong_value("drop_missing would drop rows outside of the window. Leave one of them out.")
        return self

    @model_validator(mode="after")
    def _forgets_in_all_rows(self) -> Self:
        """Refuse to set columns to NULL that may not be gone, or not in all rows."""
        reasons = (
            (self.columns, "columns leaves out columns that are not gone"),
            (self.window, "window syncs some rows, and it changes all"),
            (self.hasher, "hasher hides which columns the source has"),
            (self.mode in ("append", "history"), f"mode {self.mode} never changes the values of rows"),
        )
        reason = next((reason for given, reason in reasons if given), None)
        if reason and self.gone_columns == "set_null":
            raise wrong_value(f"gone_columns is set_null, and {reason}. Leave one of them out.")
        return self

    @model_validator(mode="after")
    def _fits_mode(self) -> Self:
        options = [option for options in MODE_COLUMNS.values() for option in options]
        mistakes = mode_mistakes(
            self.mode,
            {option: getattr(self, option) for option in options},
            given=self.model_fields_set,
            primary_key=self.primary_key,
            renamed=self.renames.values(),
            has_hasher=self.hasher is not None,
        )
        if mistake := next(mistakes, None):
            raise wrong_value(mistake)
        return self


def table_entries(entries: Any) -> Any:
    """Read what stands under ``tables``: a mapping of names to options, or a pattern, or a list with patterns.

    A list of names alone stays what it is, and so a mistake: options are usually needed.
    """
    names = [entries] if isinstance(entries, str) else entries
    if isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names) and any(map(is_pattern, names)):
        entries = dict.fromkeys(names)
    return named_entries(entries)


def table_from_options(name: str, options: Mapping[str, Any] | None) -> TargetTable:
    """Build the configuration of one target table from the options of an operator or of ``client.yaml``.

    Numeric strings are accepted, since templates render to text.

    :raises ConfigurationError: for an unknown option or a value of the wrong type
    """
    return entry_from_options("tables", name, options, TargetTable)


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
