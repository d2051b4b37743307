"""A full copy by Airflow's own GenericTransfer, run as a program so that its imports are not counted.

It runs as its task would, with the connections ``source`` and ``target`` from the environment, but without a scheduler. Its
options are the fastest that it has: one read into memory, as `page_size` makes the source skip ever more rows, and inserts
of many rows.
"""

from __future__ import annotations

import sys
import time

from airflow.providers.common.compat.sdk import Context
from airflow.providers.common.sql.operators.generic_transfer import GenericTransfer


def main(table: str, rows: str) -> None:
    """Copy the first rows of one table; print the seconds."""
    transfer = GenericTransfer(
        task_id="copy",
        sql=f"SELECT * FROM {table} WHERE id <= {int(rows)}",
        destination_table=table,
        source_conn_id="source",
        destination_conn_id="target",
        preoperator=f"TRUNCATE TABLE {table}",
        insert_args={"executemany": True, "fast_executemany": True, "commit_every": 10_000},
    )
    # The first look at a connection imports every provider that is installed.
    for hook in (transfer.source_hook, transfer.destination_hook):
        hook.get_first("SELECT 1")
    started = time.perf_counter()
    transfer.execute(Context())
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main(*sys.argv[1:])
