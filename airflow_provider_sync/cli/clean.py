"""``clean``: remove staging tables and temporary files of interrupted syncs."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import redirect_stdout

from airflow_provider_sync.cli.opener import OPENER
from airflow_provider_sync.cli.terminal.output import Line, Output
from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.merge.staging_names import find_staging
from airflow_provider_sync.sync import plan_run


def main(options: Namespace) -> int:
    """Drop staging tables and remove temporary files that are older than ``--older-than``."""
    plan = plan_run(ClientConfig.from_yaml(options.config))
    tables, output = 0, Output.of(options)
    # Airflow logs to standard output if one of its connections is named.
    with redirect_stdout(sys.stderr):
        for url in dict.fromkeys([*plan.tables, *(url for url, _ in plan.patterns)]):
            # Staging tables stand beside their targets, which may be in several schemas.
            targets = [*plan.tables.get(url, ()), *plan.patterns_of(url)]
            schemas = {target.table_name.partition(".")[0] if "." in target.table_name else None for target in targets}
            # A missing database file has no staging tables, and must not be created.
            with OPENER.existing_database(url) as database, database.connect() as connection:
                # In PostgreSQL a table without a schema may be in any schema of the search path.
                names = [target.table_name for target in targets if not target.is_pattern]
                schemas |= {table.schema for table in database.catalog.describe_many(connection, names).values()}
                for staging, age in find_staging(connection, schemas=schemas):
                    if age >= options.older_than:
                        database.ddl.drop(connection, staging)
                        output.show([Line(f"Dropped {staging}, {age / 3600:.1f} hours old.")])
                        tables += 1
        age = options.older_than
        files = sum(OPENER.storage(directory.path).clean(age, resumable_older_than=age) for directory in plan.directories)
    output.show([Line(f"Removed {tables} staging tables and {files} temporary files.")])
    return 0
