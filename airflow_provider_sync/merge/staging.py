"""Create, fill and drop staging tables, which hold rows before the merge. Their names are in :mod:`.staging_names`."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from importlib import import_module
from typing import ClassVar, Protocol, cast

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.contract.ddl import StagingLayout
from airflow_provider_sync.databases.schema import STAGING_PREFIX, Row, Table
from airflow_provider_sync.databases.table_slice import CanonicalColumn
from airflow_provider_sync.exceptions import ConfigurationError, DuplicateKeyError, TableError
from airflow_provider_sync.merge.staging_names import find_staging, staging_digest, staging_name

PERMANENT = "permanent"
TEMPORARY = "temporary"


class StagingClass(Protocol):
    """A user's class that creates and drops the staging table."""

    def create(self, connection: Connection, target: Table) -> Table:
        """Create an empty table.

        :param target: the target, reduced to its key and the columns that the source sends; the new table must have them
        """

    def drop(self, connection: Connection) -> None:
        """Drop the table if it exists."""


class Staging(ABC):
    """The staging table of one target in one run.

    :param database: database of the target
    :param run_id: identifies a run whose steps are separate tasks; empty if one process does the whole sync under a lock
    :cvar visible_to_others: whether other connections to the database see the table
    """

    visible_to_others: ClassVar[bool] = False

    def __init__(self, database: Database, run_id: str = "") -> None:
        self.database = database
        self.run_id = run_id
        self._table: Table | None = None

    @property
    def created(self) -> bool:
        """Whether the table was created, or taken over from a failed attempt."""
        return self._table is not None

    @property
    def table(self) -> Table:
        """The staging table.

        :raises TableError: if it was not created yet
        """
        if self._table is None:
            raise TableError("The staging table was not created yet. Download before the merge.").without_subject()
        return self._table

    def create(self, connection: Connection, layout: StagingLayout) -> Table:
        """Create an empty table; drop or empty one that was created before for this target and run.

        :param layout: the columns that the source sends, in the source's order, and the key
        :raises ConfigurationError: if the layout's key or an index has a column that is not staged
        """
        target, names = str(layout.target), [column.name for column in layout.columns]
        for option, wanted in (("primary", layout.primary_key), ("import_indexes", layout.indexes)):
            unknown = [name for name in wanted if name not in names]
            if unknown:
                raise ConfigurationError(
                    f"Table {target!r}: {option} names {unknown[0]!r}, which is not staged. Staged: {', '.join(names)}."
                )
        self._table = msgspec.structs.replace(self._create(connection, layout), stands_for=target)
        return self._table

    def resume(self, connection: Connection, layout: StagingLayout) -> bool:
        """Take over the table of a failed attempt, or create an empty one as :meth:`create` does.

        :return: whether the table may have rows; which ones is unknown
        """
        self.create(connection, layout)
        return False

    def load(self, connection: Connection, target: Table, batches: Iterable[Sequence[Row]]) -> int:
        """Load rows; errors name the target, since users do not know the staging table.

        :return: rows loaded
        :raises TableError: for a value that the target cannot store unchanged
        """
        with self._naming(target):
            return self.database.loader.load(connection, self.table, batches)

    def load_text(
        self, connection: Connection, target: Table, columns: Sequence[CanonicalColumn], blocks: Iterable[bytes]
    ) -> int:
        """Load lines of canonical texts; otherwise like :meth:`load`.

        :param columns: columns of the staging table, with the types of the source
        """
        with self._naming(target):
            return self.database.loader.load_text(connection, self.table, columns, blocks)

    @contextmanager
    def _naming(self, target: Table) -> Iterator[None]:
        """Make errors name the target instead of the staging table."""
        try:
            with self.database.translate_errors():
                yield
        except TableError as error:
            if error.__cause__ is not None and self.database.is_duplicate(error.__cause__):
                key = ", ".join(self.table.primary_key)
                raise DuplicateKeyError(
                    f"Table {str(target)!r}: several rows of the source have one key ({key}) in the target. Name columns with"
                    " 'primary' that tell all rows apart, and compare the collations of both."
                ) from error
            named = error.with_subject(f"Table {str(target)!r}") if error.lacks_subject else copy(error)
            # Messages of the database name the staging table, which users do not know.
            named.args = tuple(
                part.replace(str(self.table), str(target)).replace(self.table.name, target.name)
                if isinstance(part, str)
                else part
                for part in named.args
            )
            raise named from error

    def clear(self, connection: Connection, target: Table) -> None:
        """Drop the tables that a killed run left behind."""
        for leftover, _ in self._left_behind(connection, target):
            self.database.ddl.drop(connection, leftover)

    def has_left_behind(self, connection: Connection, target: Table) -> bool:
        """Tell whether an earlier step or attempt of this run, or a killed run, left a table of this target."""
        return bool(self._left_behind(connection, target))

    def _left_behind(self, connection: Connection, target: Table) -> list[tuple[Table, float]]:
        """Find the tables of this target and run, each with its age in seconds."""
        return find_staging(connection, schemas=(target.schema,), digest=staging_digest(target, self.run_id))

    @abstractmethod
    def _create(self, connection: Connection, layout: StagingLayout) -> Table:
        """Create the table; called by :meth:`create`."""

    def drop(self, connection: Connection) -> None:
        """Drop the table if it was created."""
        if self._table is not None:
            self.database.ddl.drop(connection, self._table)
            self._table = None


class PermanentStaging(Staging):
    """A table in the target's schema, which other connections and machines can use."""

    visible_to_others = True

    def _create(self, connection: Connection, layout: StagingLayout) -> Table:
        try:
            with self.database.translate_errors():
                self.clear(connection, layout.target)
        except TableError as error:
            if error.retryable or not self._take_over(connection, layout):
                raise
            # DELETE, since on MySQL TRUNCATE needs the DROP privilege.
            connection.exec_driver_sql(f"DELETE FROM {self.database.qualified(self.table)}")
            return self.table
        name = staging_name(layout.target, self.run_id, time.time())
        return self.database.ddl.create_staging(connection, layout, name=name)

    def resume(self, connection: Connection, layout: StagingLayout) -> bool:
        """Take over the table of a failed attempt if it has these columns and this key; drop it otherwise."""
        return self._take_over(connection, layout) or super().resume(connection, layout)

    def _take_over(self, connection: Connection, layout: StagingLayout) -> bool:
        """Take over a table that a failed attempt left behind, if its columns and key fit the layout."""
        if not self._left_behind(connection, layout.target):
            return False
        left = self.adopt(connection, layout.target)
        wanted = [(column.name, column.sql_type, column.collation) for column in layout.columns]
        found = [(column.name, column.sql_type, column.collation) for column in left.columns]
        return (found, left.primary_key) == (wanted, layout.primary_key)

    def name_for(self, target: Table) -> str:
        """Return the prefix of the table's name that is the same for every attempt."""
        return f"{STAGING_PREFIX}{staging_digest(target, self.run_id)}"

    def adopt(self, connection: Connection, target: Table) -> Table:
        """Take over the table that an earlier step of the same run filled.

        :raises TableError: if it does not exist
        """
        found = self._left_behind(connection, target)
        if not found:
            raise TableError(
                f"Table {str(target)!r}: its staging table is gone. Either it was merged already, or another session dropped it."
                " Run the steps again from the first."
            )
        youngest, _ = min(found, key=lambda entry: entry[1])
        self._table = msgspec.structs.replace(self.database.catalog.describe(connection, str(youngest)), stands_for=str(target))
        return self._table


def refuse_lost_columns(target: Table, staging: Table, columns: Collection[str]) -> None:
    """Refuse a staging table with a column that the source no longer sends, which a merge would write as NULL.

    :param columns: names at the target of the columns that the source sends
    :raises TableError: naming the column
    """
    lost = [column.name for column in staging.columns if column.name not in columns]
    if lost:
        raise TableError(
            f"Table {str(target)!r}: the source's columns changed since they were compared ({lost[0]!r} is gone)."
            " Begin again with the comparison."
        )


class SharedStaging(PermanentStaging):
    """A permanent table that one task creates, several tasks fill, and another merges.

    :param run_id: identifies the run of these tasks
    """

    def resume(self, connection: Connection, layout: StagingLayout) -> bool:
        """Take over the shared table, in which other tasks or an earlier attempt may have loaded rows.

        :raises TableError: if the table does not exist, or if the key changed or the source lost a column after its creation
        """
        staging = self.adopt(connection, layout.target)
        if staging.primary_key != layout.primary_key:
            raise TableError(
                f"Table {str(layout.target)!r}: its key changed since it was compared (it was {', '.join(staging.primary_key)},"
                f" and is {', '.join(layout.primary_key)}). Begin again with the comparison."
            )
        refuse_lost_columns(layout.target, staging, {column.name for column in layout.columns})
        return True


class TemporaryStaging(Staging):
    """A table that only one connection sees, and that the database drops when the connection closes.

    :param purpose: distinguishes the table from others for the same target over the same connection
    """

    def __init__(self, database: Database, purpose: str = "") -> None:
        super().__init__(database)
        self.purpose = purpose

    def _create(self, connection: Connection, layout: StagingLayout) -> Table:
        name = staging_name(layout.target, self.purpose, time.time())
        with naming_temporary_tables(self.database, layout.target):
            return self.database.ddl.create_staging(connection, layout, name=name, temporary=True)

    def drop(self, connection: Connection) -> None:
        """Do nothing: the database drops the table when the connection that created it closes; this may be another one."""
        self._table = None


class CustomStaging(Staging):
    """A table that a user's class creates.

    :param maker: an instance of that class
    """

    def __init__(self, database: Database, maker: StagingClass) -> None:
        super().__init__(database)
        self.maker = maker

    def _create(self, connection: Connection, layout: StagingLayout) -> Table:
        target, key = layout.target, layout.primary_key
        wanted = msgspec.structs.replace(target, columns=layout.columns, primary_key=key, ended_at=None)
        made = self.maker.create(connection, wanted)
        names = {column.name for column in made.columns}
        missing = [column.name for column in layout.columns if column.name not in names]
        if missing:
            self.maker.drop(connection)
            raise ConfigurationError(
                f"Table {str(target)!r}: the staging class made a table without the column {missing[0]!r}. Add it."
            )
        staged = tuple(made.column(column.name) for column in layout.columns)
        return msgspec.structs.replace(made, columns=staged, primary_key=key)

    def drop(self, connection: Connection) -> None:
        """Have the user's class drop the table."""
        if self._table is not None:
            self.maker.drop(connection)
            self._table = None


@contextmanager
def naming_temporary_tables(database: Database, target: Table) -> Iterator[None]:
    """Make errors say that a temporary table could not be created; MySQL's messages name only the database."""
    try:
        with database.translate_errors():
            yield
    except TableError as error:
        if error.retryable:
            raise
        raise TableError(
            f"Table {str(target)!r}: the temporary table that its sync needs could not be made: {error}"
            " The privilege is CREATE TEMPORARY TABLES on MySQL and MariaDB, TEMPORARY on PostgreSQL."
        ) from error


def staging_for(database: Database, option: str = PERMANENT) -> Staging:
    """Return the staging for the value of the option ``staging``.

    :param option: ``permanent``, ``temporary``, or the import path of a class with ``create`` and ``drop``
    :raises ConfigurationError: if the class cannot be imported or lacks a method
    """
    if option == PERMANENT:
        return PermanentStaging(database)
    if option == TEMPORARY:
        return TemporaryStaging(database)
    module, _, name = option.rpartition(".")
    try:
        maker = getattr(import_module(module), name)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"staging is {option!r}, which cannot be made: {error}. Give 'permanent', 'temporary', or the import path of a class."
        ) from error
    if not all(callable(getattr(maker, method, None)) for method in ("create", "drop")):
        raise ConfigurationError(f"staging is {option!r}, which lacks create(connection, target) or drop(connection).")
    return CustomStaging(database, cast("StagingClass", maker))
