"""Run a sync in a process of its own without starting Python again, which costs more than most syncs.

Such processes are forked from one that has imported the package, and that has no thread and no connection.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable

_PACKAGE = "airflow_provider_sync"
_ENGINES = [f"{_PACKAGE}.databases.{name}.database" for name in ("sqlite", "mysql", "postgresql", "duckdb")]
_DRIVERS = ["psycopg", "pymysql", "MySQLdb", "duckdb"]
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(
    [f"{_PACKAGE}.sync", f"{_PACKAGE}.client", f"{_PACKAGE}.files", *_ENGINES, *_DRIVERS, "tests.sync.tables.sync_and_die"]
)


def run_forked(function: Callable[..., None], *arguments: str, seconds: float = 120) -> int:
    """Call a function in a process of its own, and return its exit code, negative for a signal.

    :param function: of a module; it may end the process, and change modules there
    :param seconds: after so many, the process is killed, and that is a failure
    """
    process = _FORKING.Process(target=function, args=arguments)
    process.start()
    try:
        process.join(seconds)
        assert process.exitcode is not None, f"not within {seconds:g} seconds"
        return process.exitcode
    finally:
        process.kill()
        process.join()
        process.close()
