"""Templates that use something undefined."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator
from airflow.sdk.execution_time.task_runner import _serialize_rendered_fields  # noqa: TID251  # what the task runner calls

from airflow_provider_sync.airflow_support.templates import ReportsUndefinedTemplates, UndefinedText
from airflow_provider_sync.operators.table_sync import TableSyncOperator
from tests.airflow_runs import AIRFLOW_VERSION
from tests.hostile_urls import HOSTILE_URLS


class Operator(ReportsUndefinedTemplates, BaseOperator):
    """An operator that renders, and does nothing."""


@pytest.mark.parametrize(
    ("template", "missing"),
    [
        ("{{ data_interval_start | ds }}", {"data_interval_start"}),
        ("{% for day in [ds] %}{{ day.year }}{% endfor %}{{ params.x }}", {"ds"}),
        ("{{ params.tables.first }}", set()),
    ],
)
def test_undefined_variables_are_named(template: str, missing: set[str]) -> None:
    """A template that cannot be rendered becomes a text that knows which variables the run lacks."""
    context: Any = {"params": {}}
    rendered = Operator(task_id="t").render_template(["{{ 1 }}", template], context)
    assert rendered[0] == "1"
    assert isinstance(rendered[1], UndefinedText)
    assert rendered[1].missing == missing
    for again in (copy.deepcopy(rendered[1]), pickle.loads(pickle.dumps(rendered[1]))):
        assert (again, again.missing) == (rendered[1], missing)


@pytest.mark.skipif(AIRFLOW_VERSION < (3, 2), reason="Airflow 3.1 masks only what its API server knows")
@pytest.mark.parametrize(
    "given",
    ["{{ params.url }}", *HOSTILE_URLS],
)
def test_secrets_in_urls_are_masked(given: str) -> None:
    """Airflow's rendered arguments do not show the secrets in a URL that replaces a connection id."""
    context: Any = {"params": {"url": "mysql://user:tulip%40garden@db/shop"}}
    task = TableSyncOperator(task_id="t", tables={"orders": {"connection": given}}, target_conn_id=given)
    task.render_template_fields(context)
    assert "garden" in str(task.target_conn_id)
    shown = str(_serialize_rendered_fields(task))
    assert "db" in shown
    assert "tulip" not in shown
    assert "garden" not in shown


@pytest.mark.skipif(AIRFLOW_VERSION < (3, 2), reason="Airflow 3.1 masks only what its API server knows")
@pytest.mark.parametrize("template", ["{{ params.tables }}", "{{ params.tables | tojson }}"])
def test_passwords_in_native_objects_are_masked(template: str) -> None:
    """The same holds where a template renders to a mapping or a list, as native rendering has it."""
    tables = {"orders": {"connection": "mysql://user:violet%40meadow@db/shop"}}
    with DAG("native", schedule=None, render_template_as_native_obj=True):
        task = TableSyncOperator(task_id="t", tables=template, target_conn_id="warehouse")
    task.render_template_fields({"params": {"tables": tables}})  # type: ignore[arg-type]  # what the templates use of it
    assert task.tables == tables
    shown = str(_serialize_rendered_fields(task))
    assert "db/shop" in shown
    assert "meadow" not in shown


def test_names_of_a_server_do_not_hold_the_rendering() -> None:
    """Text of any length is looked through once, even if it looks like the beginnings of many URLs."""
    names = ["://:" * 60] * 10_000
    task = TableSyncOperator(task_id="t", tables="{{ params.names | tojson }}", target_conn_id="warehouse")
    task.render_template_fields({"params": {"names": names}})  # type: ignore[arg-type]  # what the templates use of it
    assert task.tables == json.dumps(names)
