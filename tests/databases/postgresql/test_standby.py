"""A standby, which can only be read, as a target."""

from __future__ import annotations

import pytest

from airflow_provider_sync.exceptions import ReadOnlyError
from tests.own_servers import OwnServers
from tests.scenario import opened


def test_a_standby_is_no_target() -> None:
    """The check of a target refuses a standby; a primary passes."""
    with OwnServers() as servers, servers.database("postgresql") as url:
        with opened(url) as primary:
            primary.database.check_writable()
        server = servers.server("postgresql")
        (server.data / "standby.signal").touch()
        server.restart()
        with opened(url) as standby, pytest.raises(ReadOnlyError, match=r"the server is a standby.*Connect to the primary"):
            standby.database.check_writable()
