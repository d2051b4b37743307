"""A server that takes names of tables that differ only in case for one, as on Windows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_sync.exceptions import ConfigurationError, TableBusyError
from tests.database_server import ServerMissing
from tests.database_servers import MariaDBServer
from tests.scenario import Scenario, opened


class IgnoringCase(MariaDBServer):
    """MariaDB, which gives each table a name in lower case."""

    def command(self) -> list[str]:
        """Return the usual settings, and that one."""
        return [*super().command(), "--lower-case-table-names=1"]


@pytest.fixture(scope="module")
def ignoring_case() -> Iterator[Scenario]:
    """Give an empty database on such a server."""
    server = IgnoringCase()
    try:
        try:
            server.start()
        except ServerMissing as missing:
            pytest.skip(str(missing))
        with opened(server.url) as database:
            database.execute("CREATE DATABASE shop")
        with opened(f"{server.url}shop") as database:
            yield database
    finally:
        server.stop()


def test_one_lock_before_and_after_a_table_is_made(ignoring_case: Scenario) -> None:
    """The lock of a table is the same for any case of its name, before and after its creation."""
    database = ignoring_case.database
    with database.exclusive(["Orders"], timeout=5):
        for make in ("SELECT 1", "CREATE TABLE Orders (id INT NOT NULL PRIMARY KEY)"):
            ignoring_case.execute(make)
            for names in (["Orders"], ["orders"], ["SHOP.ORDERS"], ["other", "Orders"]):
                with pytest.raises(TableBusyError), database.exclusive(names, timeout=0):
                    pytest.fail(f"a second sync has the lock of {names} after {make}")


def test_two_names_of_a_missing_table(ignoring_case: Scenario) -> None:
    """Two entries for one missing table are refused, too."""
    with (
        pytest.raises(ConfigurationError, match="'Missing' and 'missing' are one table"),
        ignoring_case.database.exclusive(["Missing", "missing"], timeout=0),
    ):
        pytest.fail("one table has two locks")
