"""The database objects that break when a table is dropped."""

from __future__ import annotations

from typing import Literal

import msgspec

from airflow_provider_sync.databases.schema import Table

Kind = Literal["table", "view", "trigger"]


class Dependent(msgspec.Struct, frozen=True, order=True):
    """A database object that depends on a table.

    :ivar kind: ``table`` for a table with a foreign key
    :ivar name: name of the object, with its schema unless that is the table's and the table is described without one
    """

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"

    @classmethod
    def of(cls, table: Table, kind: Kind, schema: str, name: str, *, own_schema: str) -> Dependent:
        """Describe an object that depends on ``table``.

        :param schema: schema of the object
        :param own_schema: schema of the table
        """
        shown = table.schema if schema == own_schema else schema
        return cls(kind, f"{shown}.{name}" if shown else name)
