"""The mode of a target table with the columns that it needs, for the merge."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.config.mode import Mode
from airflow_provider_sync.databases.schema import Column


class TableMode(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge does with rows that differ, and with rows that the source lacks; see :data:`.config.mode.Mode`.

    :ivar deleted_at: for ``soft_delete``: since when the source lacks a row
    :ivar valid_from: for ``history``: since when a version is valid
    :ivar valid_to: for ``history``: when it ended
    :ivar is_current: for ``history``: whether it did not end yet
    """

    name: Mode = "mirror"
    deleted_at: Column | None = None
    valid_from: Column | None = None
    valid_to: Column | None = None
    is_current: Column | None = None

    @property
    def keeps_rows(self) -> bool:
        """Whether rows that the source lacks stay as they are, so that the target may have more rows than the source."""
        return self.name in ("upsert", "append")

    @property
    def ended_at(self) -> Column | None:
        """The column that is NULL in the rows that must equal the source's; ``None`` if all must."""
        return self.deleted_at or self.valid_to

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that only the target has, and that the merge writes."""
        return tuple(filter(None, (self.deleted_at, self.valid_from, self.valid_to, self.is_current)))


MIRROR = TableMode()
