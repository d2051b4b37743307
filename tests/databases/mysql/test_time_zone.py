"""The time zone that sessions of MySQL and MariaDB have by default is found by its rules, whatever the server calls it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy

from airflow_provider_sync.databases.mysql.time_zone import default_time_zone
from airflow_provider_sync.time_zones import time_zone_named
from tests.database_servers import MariaDBServer

TIMES = [
    f"{year}-{month:02}-{day:02} {hour:02}:30:00"
    for year in range(1971, 2037, 5)
    for month, day in ((1, 20), (4, 7), (7, 1), (10, 29))
    for hour in (1, 12)
]


class ServerInZone(MariaDBServer):
    """A MariaDB server on a machine whose clock has a time zone."""

    def __init__(self, zone: str) -> None:
        super().__init__()
        self._zone = zone

    def command(self) -> list[str]:
        """Start the server with that zone in its environment."""
        return ["env", f"TZ={self._zone}", *super().command()]


@pytest.fixture
def connection(request: pytest.FixtureRequest) -> Iterator[sqlalchemy.Connection]:
    """Connect, in UTC, to a server in the zone that the test names."""
    server = ServerInZone(request.param)
    try:
        server.start()
        engine = sqlalchemy.create_engine(server.url)
        with engine.connect() as connection:
            connection.exec_driver_sql("SET time_zone = '+00:00'")
            yield connection
        engine.dispose()
    finally:
        server.stop()


@pytest.mark.parametrize("connection", ["America/New_York", "Australia/Sydney", "Asia/Kolkata"], indirect=True)
def test_zone_of_the_machine_is_found_by_its_rules(connection: sqlalchemy.Connection, request: pytest.FixtureRequest) -> None:
    """``EST``, ``AEDT`` and ``IST``, which name no zone or another one, do not hide the zone of the server's machine."""
    zone = request.node.callspec.params["connection"]
    found = default_time_zone(connection)
    assert found is not None
    assert time_zone_named(found).from_utc(TIMES) == time_zone_named(zone).from_utc(TIMES)
    assert (found == "+05:30") == (zone == "Asia/Kolkata")
    connection.exec_driver_sql("SET GLOBAL time_zone = '+05:45'")
    assert default_time_zone(connection) == "+05:45"
