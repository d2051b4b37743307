"""The processes of the soak: a server of two workers, a proxy before it, and a whole Airflow that syncs through the proxy."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.airflow_stack import API_SERVER, DAG_PROCESSOR, SCHEDULER, TRIGGERER, AirflowStack
from tests.database_servers import DUCKDB, MARIADB, POSTGRESQL, DatabaseServers
from tests.faults.proxy import Proxy
from tests.server.process.running import Running, running
from tests.soak.places import MARIADB_TABLES, POSTGRESQL_TABLES, Places
from tests.source_server import airflow_connection

CHECK, TABLE_STEPS = "soak_check", "soak_table_steps"
DAGS = (
    "soak_tables",
    TABLE_STEPS,
    "soak_directory",
    "soak_directory_steps",
    "soak_history",
    "soak_database",
    "soak_sensor",
    "soak_duckdb",
    "soak_from_mariadb",
    CHECK,
)
COMPONENTS = (SCHEDULER, TRIGGERER, API_SERVER, DAG_PROCESSOR)


@dataclass(frozen=True)
class Site:
    """Everything that runs, and what the server is configured to be.

    :ivar settings: the server's configuration
    """

    places: Places
    server: Running
    settings: dict[str, Any]
    proxy: Proxy
    airflow: AirflowStack


@contextmanager
def running_site(servers: DatabaseServers, places: Places, metadata_url: str) -> Iterator[Site]:
    """Start everything, and end it after the block; the DAGs are there, and no run has begun.

    :param metadata_url: of an empty PostgreSQL database for Airflow
    """
    token = secrets.token_urlsafe()
    settings = server_settings(places, token)
    temporary = {"TMPDIR": str(places.temporary)}
    of_server = {**temporary, "XDG_CACHE_HOME": str(places.folder / "cache-server")}
    with (
        running(places.folder, environment=of_server, **settings) as server,
        Proxy(server.url) as proxy,
    ):
        connections = {name: airflow_connection(places.urls[name]) for name in (MARIADB, POSTGRESQL, DUCKDB)}
        environment = {
            **temporary,
            "XDG_CACHE_HOME": str(places.folder / "cache-airflow"),
            "SOAK_COPIES": str(places.copies),
            "AIRFLOW_CONN_SOAK": json.dumps({"conn_type": "sync", "host": proxy.url, "password": token}),
            **{f"AIRFLOW_CONN_SOAK_{name.upper()}": connection for name, connection in connections.items()},
        }
        with AirflowStack(places.folder / "airflow", metadata_url, environment) as airflow:
            airflow.start(TRIGGERER)
            airflow.add_dags("soak.py", Path(__file__).with_name("dags.py"), *DAGS)
            yield Site(places, server, settings, proxy, airflow)


def server_settings(places: Places, token: str) -> dict[str, Any]:
    """Return what the server offers, with everything switched on that a server in production has."""
    tables = {name: {"connection": "postgresql"} for name in POSTGRESQL_TABLES}
    tables |= {name: {"connection": "mariadb"} for name in MARIADB_TABLES}
    return {
        "workers": 2,
        "tokens": [{"name": "airflow", "token": token}],
        "connections": {"postgresql": places.urls["postgresql_source"], "mariadb": places.urls["mariadb_source"]},
        "tables": tables,
        "directories": {folder.name: {"path": str(folder)} for folder in places.source_folders},
        "log": {"format": "json", "file": str(places.folder / "access.log")},
        "audit_log": str(places.folder / "audit.log"),
    }
