"""The base class of a database's components, and the descriptor that makes them attributes of a database."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from airflow_provider_sync.databases.base import Database


class DatabaseComponent(ABC):  # noqa: B024  # each component has abstract methods
    """One aspect of a database, reached as an attribute of it: ``database.catalog``, ``database.reader``.

    Each access makes a new component, so a component has no state except the database.

    :param database: provides quoting, connections and the other components
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.quote = database.quote
        self.qualified = database.qualified
        self.relation = database.relation
        self.columns = database.columns


ComponentT = TypeVar("ComponentT", bound=DatabaseComponent, covariant=True)


class component(Generic[ComponentT]):  # noqa: N801  # used as a property is
    """An attribute of a class derived from :class:`.Database`: ``catalog = component(SQLiteCatalog)``."""

    def __init__(self, kind: type[ComponentT]) -> None:
        self._kind = kind

    def __get__(self, database: Database, owner: type[Database]) -> ComponentT:
        """Make the component."""
        return self._kind(database)
