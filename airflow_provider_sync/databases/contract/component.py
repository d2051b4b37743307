"""What the components of a database have in common."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_sync.databases.base import Database


class DatabaseComponent(ABC):  # noqa: B024  # what is abstract is for each component to say
    """One aspect of a database, reached as an attribute of it: ``database.catalog``, ``database.reader``.

    Components are made anew whenever they are asked for, so they keep nothing but the database.

    :param database: what they belong to, for quoting, connections and the other components
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.quote = database.quote
        self.qualified = database.qualified
        self.columns = database.columns
