"""The operator and the hook that list the tables of a server."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_sync.hooks.sync_server import SyncServerHook
from airflow_provider_sync.operators.sync_list import SyncListOperator
from tests.source_server import TABLES, Source


def listed(**arguments: Any) -> list[str]:
    """Run the operator outside a DAG."""
    return SyncListOperator(task_id="list", **arguments).execute({})


def test_names(source: Source) -> None:
    """The result is each name that the patterns match, once, in the order of the server; names are not asked about."""
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
    """Arguments that cannot be meant, and patterns without a table, fail the task at once."""
    with pytest.raises(AirflowFailException, match=message):
        listed(**arguments)
