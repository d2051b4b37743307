"""The whole Airflow of the tests: what the tests that use it rely on."""

from __future__ import annotations

import pytest

from tests.airflow_stack import DAG_PROCESSOR, SCHEDULER, AirflowStack

DAGS = """
from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, BaseHook, task

with DAG("stack_dag", schedule=None, start_date=datetime(2026, 1, 1)):

    @task
    def number():
        print("here I am")
        return 20

    @task(retries=1, retry_delay=0)
    def added(number, more):
        return number + more

    @task
    def host():
        return BaseHook.get_connection("stack_conn").host

    added.partial(number=number()).expand(more=[1, 2]) >> host()
"""

pytestmark = pytest.mark.slow


def test_stack(airflow_stack: AirflowStack) -> None:
    """A DAG in the folder runs under the scheduler, and its states, results and logs can be read."""
    airflow_stack.set_connection("stack_conn", conn_type="generic", host="first.example")
    airflow_stack.set_connection("stack_conn", conn_type="generic", host="second.example")
    airflow_stack.add_dags("stack_dag.py", DAGS, "stack_dag")
    run_id = airflow_stack.run("stack_dag")
    assert [run["dag_run_id"] for run in airflow_stack.runs("stack_dag")] == [run_id]
    assert airflow_stack.task_states("stack_dag", run_id) == dict.fromkeys(["number", "added[0]", "added[1]", "host"], "success")
    assert airflow_stack.result_of("stack_dag", run_id, "added[1]") == 22
    assert airflow_stack.result_of("stack_dag", run_id, "host") == "second.example"
    assert "here I am" in airflow_stack.log_of("stack_dag", run_id, "number")
    assert "stack_dag" in airflow_stack.cli("dags", "list")
    # A changed file is seen.
    airflow_stack.add_dags("stack_dag.py", DAGS.replace("return 20", "return 30"), "stack_dag")
    assert airflow_stack.result_of("stack_dag", airflow_stack.run("stack_dag"), "added[0]") == 31


def test_components(airflow_stack: AirflowStack) -> None:
    """Components end with all their processes, and can start again."""
    airflow_stack.stop(SCHEDULER, DAG_PROCESSOR)
    airflow_stack.start(SCHEDULER, DAG_PROCESSOR)
