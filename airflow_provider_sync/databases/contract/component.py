"""The base class of a database's components."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_sync.databases.base import Database


class DatabaseComponent(ABC):  # noqa: B024  # each component has abstract methods
    """One aspect of a database, reached as an attribute of it: ``database.catalog``, ``database.reader``.

    Each access makes a new component, so a component keeps no state but the database.

    :param database: gives quoting, connections and the other components
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.quote = database.quote
        self.qualified = database.qualified
        self.relation = database.relation
        self.columns = database.columns
