"""The operator and the hook that list the tables of a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_sync.hooks.sync_server import SyncServerHook
from airflow_provider_sync.operators.configured_sync import ConfiguredListOperator
from airflow_provider_sync.operators.sync_list import SyncListOperator
from tests.client.scripted_server import reply, scripted_server
from tests.source_server import TABLES, Source


def listed(**arguments: Any) -> list[str]:
    """Run the operator outside a DAG."""
    return SyncListOperator(task_id="list", **arguments).execute({})


def test_names(source: Source) -> None:
    """The result has each name that the patterns match once, in the server's order; plain names are returned unchecked."""
    assert listed() == list(TABLES)
    assert listed(exclude="orders") == ["customers", "countries"]
    assert listed(tables="['c*', 'elsewhere', '*']", exclude=["cust*"]) == ["elsewhere", "countries", "orders"]
    assert SyncServerHook().list_tables("c*", exclude=["countries"]) == ["customers"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tables": "x*"}, r"The pattern 'x\*' matches no table"),
        ({"tables": {"*": {}}}, "Give a name, or a list of names"),
        ({"tables": ""}, "'tables' rendered to ''"),
        ({"tables": "orders", "exclude": ["a"]}, "'exclude' is for patterns of tables"),
    ],
)
def test_refused(source: Source, arguments: Any, message: str) -> None:
    """Invalid arguments, and patterns that match no table, fail the task at once."""
    with pytest.raises(AirflowFailException, match=message):
        listed(**arguments)


@pytest.mark.parametrize(
    "name", ['{"orders": {"table": "mine"}}', '["orders"]', "{%", " orders", "*", "", pytest.param("{" * 9_000, id="long")]
)
def test_names_that_mean_something_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """Offered names cannot choose options, patterns or other tables of mapped tasks."""
    with scripted_server() as server:
        server.answer(reply(body=json.dumps({"protocol": 2, "tables": {"customers": [], name: []}}).encode()))
        monkeypatch.setenv("AIRFLOW_CONN_SYNC_DEFAULT", json.dumps({"conn_type": "sync", "host": server.url}))
        for list_tables in (listed, SyncServerHook().list_tables):
            with pytest.raises(Exception, match=r"offers a table named .* Exclude it") as caught:
                list_tables()
            assert len(str(caught.value)) < 1_000
        config = tmp_path / "client.yaml"
        config.write_text(json.dumps({"url": server.url, "connections": {"a": "sqlite://"}, "tables": {"**": None}}))
        with pytest.raises(AirflowFailException, match=r"offers a table named .* Exclude it"):
            ConfiguredListOperator(task_id="list", config=config).execute({})
        assert listed(tables="c*") == ["customers"]
