"""The mode in which a merge writes a target table, with the columns that the mode needs."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.config.mode import Mode
from airflow_provider_sync.databases.schema import Column


class TableMode(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge does with rows that differ, and with rows that the source lacks; see :data:`.config.mode.Mode`.

    :ivar deleted_at: for ``soft_delete``: when a merge found that the source lacks a row
    :ivar valid_from: for ``history``: when a version began
    :ivar valid_to: for ``history``: when a version ended; NULL in the current version
    :ivar is_current: for ``history``: whether a version has not ended
    """

    name: Mode = "mirror"
    deleted_at: Column | None = None
    valid_from: Column | None = None
    valid_to: Column | None = None
    is_current: Column | None = None

    @property
    def keeps_rows(self) -> bool:
        """Whether rows that the source lacks stay unchanged, so that the target may have more rows than the source."""
        return self.name in ("upsert", "append")

    @property
    def privileges(self) -> tuple[str, ...]:
        """The privileges on the target table that a merge needs."""
        return {
            "mirror": ("SELECT", "INSERT", "UPDATE", "DELETE"),
            "append": ("SELECT", "INSERT"),
        }.get(self.name, ("SELECT", "INSERT", "UPDATE"))

    @property
    def ended_at(self) -> Column | None:
        """The column that is NULL in the rows that must equal the source's; ``None`` if all rows must."""
        return self.deleted_at or self.valid_to

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that only the target has, and that the merge writes."""
        return tuple(filter(None, (self.deleted_at, self.valid_from, self.valid_to, self.is_current)))


MIRROR = TableMode()
