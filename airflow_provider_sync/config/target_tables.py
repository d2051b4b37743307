"""The options of a table at the client: how it is synced."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from airflow_provider_sync.config.limits import DEFAULT_MAX_DELETES, MaxDeletes
from airflow_provider_sync.config.mode import MODE_COLUMNS, Mode, mode_mistakes
from airflow_provider_sync.config.options import Name, PositiveWhole, Seconds, entry_from_options, wrong_value
from airflow_provider_sync.config.tables import TableConfig


def _window(value: Any) -> Any:
    """Convert numbers and dates, as YAML reads them, back into text, and check that there are a column and two values."""
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


class TargetTable(TableConfig, frozen=True):
    """A table that a client keeps in step."""

    renames: Renames = Field(default={}, description="Column names of the source, each with the target's name for it.")
    max_deletes: MaxDeletes = Field(
        default=DEFAULT_MAX_DELETES,
        description="How much one sync may delete: a share such as `50%` (100 rows may always go), or a number of rows.",
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
        default="deleted_at",
        description="For `soft_delete`: the target's column for the time (UTC) at which a sync found a row missing.",
    )
    valid_from: str = Field(
        default="valid_from", description="For `history`: the target's column for the time (UTC) at which a version began."
    )
    valid_to: str = Field(
        default="valid_to", description="For `history`: the target's column for the time (UTC) at which a version ended."
    )
    is_current: str = Field(
        default="is_current", description="For `history`: the target's column that is true for the current version of a row."
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
    max_seconds: Seconds | None = Field(
        default=None,
        description="Longest time, in seconds, for comparing and downloading this table. Otherwise the client's.",
    )
    drop_missing: tuple[str, ...] = Field(
        default=(),
        description="For a pattern: target tables, by name or pattern, that belong to the source: those that it no longer offers"
        " are dropped.",
    )
    max_drops: PositiveWhole = Field(default=1, description="For a pattern with `drop_missing`: most tables that one run drops.")

    @property
    def mode_columns(self) -> dict[str, str]:
        """Names of the columns that the mode needs, by the option that names them."""
        return {option: getattr(self, option) for option in MODE_COLUMNS.get(self.mode, ())}

    @property
    def has_rows_beside_source(self) -> bool:
        """Whether the target has rows beside the source's, so that its sync does not see all that a trigger did to it before."""
        return self.mode != "mirror" or self.window is not None

    @property
    def deletes_rows_of_others(self) -> bool:
        """Whether a sync deletes, or ends, all rows that are not of its own source."""
        return self.mode not in ("upsert", "append") and self.window is None

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


def table_from_options(name: str, options: Mapping[str, Any] | None) -> TargetTable:
    """Build the configuration of one target table from the options of an operator or of ``client.yaml``.

    Numeric strings are accepted, since templates render to text.

    :raises ConfigurationError: for an unknown option or a value of the wrong type
    """
    return entry_from_options("tables", name, options, TargetTable)
