"""Runs of whole DAGs inside the test process, through Airflow's own task runner."""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

AIRFLOW_VERSION = Version(version("apache-airflow")).release

in_any_process = pytest.mark.skipif(AIRFLOW_VERSION < (3, 2), reason="Airflow 3.1.0 looks for connections in tasks only")


def run_dag(dag: Any, **options: Any) -> Any:
    """Run a DAG to its end and return the DagRun; tasks see connections, XComs and states as in production.

    :param options: of ``DAG.test``, such as ``run_conf``
    """
    register(dag)
    return dag.test(**options)


def register(dag: Any) -> None:
    """Let Airflow know a DAG, and its assets, as the DAG processor does."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session

    try:
        from airflow.serialization.definitions.dag import SerializedDAG
    except ImportError:
        # Where Airflow 3.1 has it.
        from airflow.serialization.serialized_objects import SerializedDAG

    migrate_metadata_database()
    _keep_the_api()
    with create_session() as session:
        DagBundlesManager().sync_bundles_to_db(session=session)
    # DAG.test runs only what is serialized, as the scheduler would find it.
    serialized = LazyDeserializedDAG.from_dag(dag)
    with create_session() as session:
        SerializedDAG.bulk_write_to_db("dags-folder", None, [serialized], session=session)
        SerializedDagModel.write_dag(serialized, bundle_name="dags-folder", session=session)


@cache
def _keep_the_api() -> None:
    """Let the tasks of a session share one API: before Airflow 3.3, each builds its own, which takes longer than the task."""
    from airflow.sdk.execution_time import supervisor

    if AIRFLOW_VERSION < (3, 3):
        supervisor.in_process_api_server = cache(supervisor.in_process_api_server)


def task_states(run: Any) -> dict[str, str]:
    """Return how each task of a run ended."""
    return {instance.task_id: str(instance.state) for instance in run.get_task_instances()}


@cache
def migrate_metadata_database() -> None:
    """Make the metadata database of the session, once."""
    from airflow.utils.db import initdb

    # DAG bundles read this folder; the DAGs of tests need not be in it.
    Path(os.environ["AIRFLOW_HOME"], "dags").mkdir()
    initdb()


def asset_events(run: Any) -> dict[str, Any]:
    """Return the extras of the asset events of a run, by the URI of the asset."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session

    with create_session() as session:
        events = session.query(AssetEvent).filter_by(source_dag_id=run.dag_id, source_run_id=run.run_id).all()
        return {event.uri: event.extra for event in events}
