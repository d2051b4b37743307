"""Faults of this program, or of what was plugged into it: a report for each table, and the rest of the run is done."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig, ServerConfig
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import SyncFailed, UnexpectedError
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import run_diff
from airflow_provider_sync.sync.run import plan_run, run
from tests.cli.site import Site, execute
from tests.sync.tables.staging_class import NamedStaging


class Broken(NamedStaging):
    """A user's staging class with a fault."""

    def create(self, connection: Connection, target: Table) -> Table:
        """Make nothing."""
        raise ZeroDivisionError("by zero")


def configured(site: Site, url: str, *, single_transaction: bool) -> ClientConfig:
    """Configure three things to sync, the first with the fault."""
    staging = f"{Broken.__module__}.{Broken.__name__}"
    tables = {"orders": {"staging": staging}, "customers": {}}
    directories = {"images": {"path": str(site.folder / "copies")}}
    connections = {"local": f"sqlite:///{site.target}"}
    return ClientConfig.from_dict(
        {
            "url": url,
            "single_transaction": single_transaction,
            "connections": connections,
            "tables": tables,
            "directories": directories,
        }
    )


@pytest.mark.parametrize("single_transaction", [False, True])
def test_a_fault_ends_its_own_table_only(tmp_path: Path, single_transaction: bool) -> None:
    """An unexpected exception fails only its transaction, with a report; all else is synced."""
    site = Site(tmp_path)
    execute(site.target, "INSERT INTO orders VALUES (1, 'here')")
    with RunningServer(ServerConfig.from_dict(site.server_settings)) as server:
        config = configured(site, server.url, single_transaction=single_transaction)
        with pytest.raises(SyncFailed) as failed:
            run(config, plan_run(config))
    states = {report.name: report.status for report in failed.value.reports}
    assert states == {"orders": "failed", "customers": "failed" if single_transaction else "changed", "images": "changed"}
    assert "An unexpected error, ZeroDivisionError: by zero." in str(failed.value.reports[0].error)
    assert 'raise ZeroDivisionError("by zero")' in "".join(traceback.format_exception(failed.value))
    assert site.rows("orders") == [(1, "here")]
    assert len(site.rows("customers")) == (0 if single_transaction else 3)


def test_a_fault_in_a_diff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception in one table's comparison does not stop a diff of the others."""
    site = Site(tmp_path)
    compare = run_diff.diff_table

    def broken(client: SyncClient, table: object, *arguments: object, **options: object) -> object:
        if getattr(table, "name", "") == "orders":
            raise ZeroDivisionError("by zero")
        return compare(client, table, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(run_diff, "diff_table", broken)
    with RunningServer(ServerConfig.from_dict(site.server_settings)) as server:
        config = configured(site, server.url, single_transaction=False)
        found = run_diff.diff_run(config, plan_run(config))
    assert {entry.report.name: entry.report.status for entry in found.tables} == {"orders": "failed", "customers": "planned"}
    assert isinstance(found.failures[0], UnexpectedError)
