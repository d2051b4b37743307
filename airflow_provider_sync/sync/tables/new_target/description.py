"""Create a missing target from the source's description: its columns and key, and the details that the options ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial

from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.table_errors import naming_table
from airflow_provider_sync.exceptions import ConfigurationError, MissingTableError
from airflow_provider_sync.protocol.v2.messages import Described, DescribeTable
from airflow_provider_sync.sync.tables.new_target.creation import create_table, planned_phrases
from airflow_provider_sync.sync.tables.new_target.details import (
    MadeTable,
    PlannedDetails,
    ReportedDetails,
    foreign_key_phrase,
    plan_details,
    unique_columns,
    with_unique_parents,
)
from airflow_provider_sync.sync.tables.new_target.foreign_keys import is_unfinished, with_unfinished_comment
from airflow_provider_sync.sync.tables.version2.column_mapping import configured_slice, create_statement
from airflow_provider_sync.sync.tables.version2.source_digests import probes_of


class NewTarget:
    """A table that a run creates in the target."""

    def __init__(self, client: SyncClient, database: Database, options: TargetTable) -> None:
        self.client = client
        self.database = database
        self.options = options

    def statement(self) -> str:
        """Return the CREATE TABLE derived from the source's description."""
        return create_statement(self.database, self.options, self._ask())

    def create(self, run_tables: Mapping[str, TargetTable], described: Described | None = None) -> MadeTable:
        """Create the table from the source's description, and return it.

        :param run_tables: the options of all tables of the run, by name
        :param described: the description, if known; a description with indexes is requested anyway
        :raises ConfigurationError: if the server cannot describe the details that ``create_indexes`` needs
        """
        database, options = self.database, self.options
        with database.connect() as connection:
            source, planned = self._plan(connection, run_tables, described)
            to_create = with_unfinished_comment(database, planned)
            with naming_table(options.name):
                created = create_table(
                    database,
                    connection,
                    options.table_name,
                    to_create,
                    lambda details: create_statement(database, options, source, details),
                )
        with_table = () if to_create.unfinished else planned.foreign_keys
        return MadeTable(
            name=options.name,
            table=created.table,
            unfinished=to_create.unfinished,
            foreign_keys=planned.foreign_keys,
            comment=_comment(source),
            made=(self._phrase, *created.made, *map(foreign_key_phrase, with_table)),
            left_out=(*planned.left_out, *created.refused),
        )

    @property
    def _phrase(self) -> str:
        return f"table {self.options.table_name!r}"

    def planned(self, run_tables: Mapping[str, TargetTable]) -> ReportedDetails:
        """Return the details that a run would add if the database refused none.

        :param run_tables: the options of all tables of the run, by name
        """
        if not self.options.create_indexes:
            return ReportedDetails(name=self.options.name, made=(self._phrase,))
        with self.database.connect() as connection:
            _, planned = self._plan(connection, run_tables)
        made, refused = planned_phrases(self.database, planned)
        return ReportedDetails(
            name=self.options.name,
            made=(self._phrase, *made, *map(foreign_key_phrase, planned.foreign_keys)),
            left_out=(*planned.left_out, *refused),
        )

    def _plan(
        self, connection: Connection, run_tables: Mapping[str, TargetTable], described: Described | None = None
    ) -> tuple[Described, PlannedDetails]:
        """Describe the table, and plan its details besides columns and key.

        :raises ConfigurationError: if the server cannot describe the details that ``create_indexes`` needs
        """
        has_details = self.options.create_indexes
        if has_details:
            self._check_details()
        if described is None or has_details:
            described = self._ask(details=has_details)
        planned = plan_details(self.database, self.options, described, run_tables)
        if planned.foreign_keys and not self.database.details.adds_foreign_keys:
            planned = with_unique_parents(planned, partial(self._unique_columns, connection, run_tables))
        return described, planned

    def unfinished(self, run_tables: Mapping[str, TargetTable], connection: Connection, table: Table) -> MadeTable | None:
        """Return the work left for a table that an earlier run created but did not finish; ``None`` for any other table.

        See :mod:`.foreign_keys`.

        :param run_tables: the options of all tables of the run, by name
        """
        options = self.options
        if not (options.create_table and options.create_indexes and is_unfinished(self.database, connection, table)):
            return None
        self._check_details()
        described = self._ask(details=True)
        planned = plan_details(self.database, options, described, run_tables)
        return MadeTable(
            name=options.name,
            table=table,
            # Foreign keys to tables outside this run are left to a run that syncs those tables.
            unfinished=bool(planned.foreign_keys) or not (described.details and described.details.foreign_keys),
            foreign_keys=planned.foreign_keys,
            comment=_comment(described),
            left_out=planned.left_out,
        )

    def _unique_columns(
        self, connection: Connection, run_tables: Mapping[str, TargetTable], name: str
    ) -> Iterator[frozenset[str]]:
        """Yield the sets of columns that identify a row of a table of the run, which may not exist yet.

        :param name: name of the table in the target's database
        """
        with suppress(MissingTableError), self.database.translate_errors():
            yield from unique_columns(self.database.catalog.describe(connection, name))
            return
        options = next(table for table in run_tables.values() if table.table_name == name)
        described = NewTarget(self.client, self.database, options)._ask(details=options.create_indexes)
        names = {column.name: options.renames.get(column.name, column.name) for column in described.columns}
        yield frozenset(names[column] for column in described.key)
        for index in plan_details(self.database, options, described, run_tables).indexes:
            if index.unique:
                yield frozenset(index.columns)

    def describe(self, described: Described | None = None) -> Described:
        """Return the source's description of the table.

        :param described: the description, if known
        :raises TableError: if a run could not create the table
        """
        described = described or self._ask(probes=probes_of(self.client, self.database))
        create_statement(self.database, self.options, described)
        return described

    def _ask(self, *, details: bool = False, probes: Mapping[str, str] | None = None) -> Described:
        request = DescribeTable(
            table_slice=configured_slice(self.options),
            digests=False,
            probes=dict(probes or {}),
            details=details,
        )
        with self.client.describe_table(request) as answer:
            return answer.described

    def _check_details(self) -> None:
        offered = self.client.capabilities()
        if offered is None or not offered.details:
            raise ConfigurationError(
                f"Table {self.options.name!r}: create_indexes is set, and the server is too old to tell its indexes. Upgrade the"
                " server, or leave create_indexes out."
            )

    def count_rows(self) -> int:
        """Count the rows that a run would put into the table.

        :raises TableError: if a run could not create the table
        """
        with self.client.describe_table(DescribeTable(table_slice=configured_slice(self.options))) as answer:
            create_statement(self.database, self.options, answer.described)
            return sum(sum(segments.counts) for segments in answer)


def _comment(described: Described) -> str | None:
    return (described.details and described.details.comment) or None
