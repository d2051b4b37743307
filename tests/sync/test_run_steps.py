"""The steps of a run with several tables on several databases."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.config import ClientConfig, table_from_options
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import ServerError, SyncFailed, TableError, TransportError
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync import Opener, run_steps
from airflow_provider_sync.sync.run import RunPlan
from airflow_provider_sync.sync.tables.slice_values import ComparedTable


@pytest.mark.parametrize(
    ("error", "failing", "compared"),
    [
        pytest.param(TransportError("down"), "a", "ade", id="the server"),
        pytest.param(TableError("odd"), "a", "abcde", id="one table"),
        pytest.param(ServerError("locked", 503), "a", "abcde", id="one busy table"),
        pytest.param(ServerError("locked", 503, of_table=True), "ab", "abcde", id="locked tables"),
        pytest.param(ServerError("down", 503), "ab", "abde", id="a busy server"),
    ],
)
def test_comparing_goes_on_after_a_failure(
    error: Exception, failing: str, compared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing table does not stop the comparison of others; a failing server stops only those of its database."""
    tried: list[str] = []

    def compare_table(_client: Any, table: Any, *_: Any, **__: Any) -> Any:
        tried.append(table.name)
        if table.name in failing:
            raise error
        return ComparedTable(report=TableReport(name=table.name, status="unchanged"))

    monkeypatch.setattr(run_steps, "compare_table", compare_table)
    tables = {name: table_from_options(name, {}) for name in "abcde"}
    plan = RunPlan(
        tables={
            f"sqlite:///{tmp_path / 'one.db'}": (tables["a"], tables["b"], tables["c"]),
            f"sqlite:///{tmp_path / 'two.db'}": (tables["d"], tables["e"]),
        },
        directories=(),
    )
    with pytest.raises(SyncFailed) as failure:
        run_steps.compare_tables(ClientConfig(url="http://127.0.0.1:9", retries=0), plan, opener=Opener(), run_id="r")
    assert "".join(tried) == compared
    assert [report.name for report in failure.value.reports] == tried


@pytest.mark.parametrize(("create_table", "dry_run"), [(True, True), (True, False), (False, False)])
def test_a_dry_run_makes_no_database(create_table: bool, dry_run: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing database file counts as empty; a dry run does not create it."""
    found: list[Sequence[str]] = []

    def compare_table(_client: Any, table: Any, database: Database, **_: Any) -> Any:
        with database.connect() as connection:
            found.append(database.catalog.list_tables(connection))
        return ComparedTable(report=TableReport(name=table.name, status="unchanged"))

    monkeypatch.setattr(run_steps, "compare_table", compare_table)
    monkeypatch.setattr(import_module("airflow_provider_sync.sync.run"), "describe_for_new_file", lambda *_, **__: {})
    plan = RunPlan(
        tables={f"sqlite:///{tmp_path / 'new.db'}": (table_from_options("a", {"create_table": create_table}),)}, directories=()
    )
    config = ClientConfig(url="http://127.0.0.1:9", retries=0)
    run_steps.compare_tables(config, plan, opener=Opener(), run_id="r", dry_run=dry_run)
    assert [list(names) for names in found] == [[]]
    assert (tmp_path / "new.db").exists() is (create_table and not dry_run)
