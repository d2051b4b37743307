"""The options of a table at the server: which rows and columns it offers, and with which masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.json_schema import WithJsonSchema

from airflow_provider_sync.config.options import checked_unicode, wrong_value
from airflow_provider_sync.config.table_patterns import is_pattern
from airflow_provider_sync.config.tables import TableConfig


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
