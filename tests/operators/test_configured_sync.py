"""The operators that do what a ``client.yaml`` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airflow_provider_sync.operators.configured_sync import ConfiguredListOperator, ConfiguredSyncOperator
from tests.airflow_runs import AIRFLOW_VERSION
from tests.source_server import ROWS, TOKEN, Source, Target


@pytest.fixture
def file(source: Source, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a configuration with a table, a pattern and a directory, whose secrets are in the environment."""
    monkeypatch.setenv("THE_TOKEN", TOKEN)
    settings = {
        "url": source.url,
        "token": "${THE_TOKEN}",
        "connections": {"local": "airflow://target"},
        "tables": {"orders": {}, "c*": {"exclude": ["countries"]}},
        "directories": {"images": {"path": str(tmp_path / "images")}},
    }
    path = tmp_path / "client.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def changed(path: Path, **settings: Any) -> Path:
    """Change some settings of a configuration."""
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **settings}), encoding="utf-8")
    return path


def execute(file: Path, **arguments: Any) -> dict[str, str]:
    """Run the operator outside a DAG, and return how each table and directory ended."""
    reports = ConfiguredSyncOperator(task_id="sync", config=file, **arguments).execute({})
    return {report["name"]: report["status"] for report in reports}


def test_everything(file: Path, source: Source, target: Target, tmp_path: Path) -> None:
    """A task syncs the same as the command line: tables, patterns, directories, Airflow connections, variables."""
    assert execute(file) == {"orders": "changed", "customers": "changed", "images": "changed"}
    assert target.rows("orders") == ROWS["orders"]
    assert (tmp_path / "images" / "one.txt").read_text() == "one of images"
    with pytest.raises(AirflowSkipException):
        execute(file, skip_unchanged=True)


def test_some_of_it(file: Path, source: Source, target: Target) -> None:
    """A task may sync only some tables, also ones that a pattern matches, and some directories."""
    assert execute(file, tables="customers") == {"customers": "changed"}
    assert execute(file, tables="['orders']", directories=["images"], dry_run="true") == {
        "orders": "planned",
        "images": "planned",
    }
    assert target.rows("orders") == []


def test_what_patterns_match(file: Path, source: Source) -> None:
    """The list has the tables that the patterns match, without those that have their own entry."""
    assert ConfiguredListOperator(task_id="list", config=file).execute({}) == ["customers"]
    assert ConfiguredListOperator(task_id="list", config=changed(file, tables={"orders": {}, "*": {}})).execute({}) == [
        "customers",
        "countries",
    ]


@pytest.mark.parametrize(
    ("settings", "arguments", "message"),
    [
        ({}, {"tables": "countries"}, "'countries' is not under tables in the configuration"),
        ({}, {"config": "absent.yaml"}, "Cannot read absent.yaml"),
        ({"token": "${NOT_THERE}"}, {}, "The environment variable NOT_THERE is not set"),
        ({"directories": {"images": {"path": "./images"}}}, {}, "'images' has the relative path './images'"),
        pytest.param(
            {"connections": {"local": "airflow://absent"}},
            {"tables": "orders"},
            "absent",
            marks=pytest.mark.skipif(AIRFLOW_VERSION < (3, 2), reason="Airflow 3.1 looks for connections only in its tasks"),
        ),
    ],
)
def test_refused(file: Path, source: Source, target: Target, settings: Any, arguments: dict[str, Any], message: str) -> None:
    """An unusable file or argument fails the task at once, and nothing is written."""
    with pytest.raises(AirflowFailException, match=message):
        execute(arguments.pop("config", changed(file, **settings)), **arguments)
    assert target.rows("orders") == []


@pytest.mark.parametrize(("arguments", "names"), [({}, ["c*", "images", "orders"]), ({"tables": "orders"}, ["orders"])])
def test_a_file_that_cannot_be_used_fails_what_it_names(
    file: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], names: list[str]
) -> None:
    """If a variable of the file is not set, all that the arguments or else the file name is reported as failed."""
    monkeypatch.delenv("THE_TOKEN")
    operator = ConfiguredSyncOperator(task_id="sync", config=file, **arguments)
    with pytest.raises(AirflowFailException, match="THE_TOKEN"):
        operator.execute({})
    assert sorted((report.name, report.status) for report in operator.reports) == [(name, "failed") for name in names]
