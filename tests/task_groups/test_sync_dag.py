"""DAGs that are made of a ``client.yaml``."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.task_groups.sync_dag import SyncDag
from tests.airflow_runs import run_dag, task_states
from tests.source_server import ROWS, TOKEN, Source, Target


def write(path: Path, **settings: object) -> Path:
    """Write a configuration."""
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


@pytest.fixture
def file(source: Source, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a configuration with a table, a pattern and a directory, whose token is in the environment."""
    monkeypatch.setenv("THE_TOKEN", TOKEN)
    return write(
        tmp_path / "client.yaml",
        url=source.url,
        token="${THE_TOKEN}",
        connections={"local": "airflow://target"},
        tables={"orders": None, "c*": None},
        directories={"images": {"path": str(tmp_path / "images")}},
    )


def test_one_task(file: Path, target: Target, tmp_path: Path) -> None:
    """By default, one task syncs everything in the file."""
    dag = SyncDag.from_yaml(file, dag_id="of_yaml", tags=["a"])
    assert (dag.fileloc, dag.tags, dag.catchup, dag.max_active_runs) == (__file__, {"a"}, False, 1)
    assert task_states(run_dag(dag)) == {"sync": "success"}
    assert {name: target.rows(name) for name in ROWS} == ROWS
    assert (tmp_path / "images" / "one.txt").exists()


def test_a_task_each(file: Path, target: Target, tmp_path: Path) -> None:
    """With ``per_table``, there is a task for each table and directory, and mapped ones for patterns."""
    dag = SyncDag.from_yaml(file, dag_id="of_yaml_each", per_table=True, task_arguments={"skip_unchanged": True})
    expected = {"tables.orders", "tables.list", "tables.each", "directories.images"}
    assert set(dag.task_ids) == expected
    run = run_dag(dag)
    assert task_states(run) == dict.fromkeys(expected, "success")
    assert sorted(entry.map_index for entry in run.get_task_instances() if entry.task_id == "tables.each") == [0, 1]
    assert {name: target.rows(name) for name in ROWS} == ROWS
    assert (tmp_path / "images" / "one.txt").exists()
    assert task_states(run_dag(dag))["tables.orders"] == "skipped"


def test_a_relative_path(tmp_path: Path) -> None:
    """A relative path starts at the folder of the file that makes the DAG."""
    write(tmp_path / "client.yaml", url="http://x", directories={"a/b": None, "a_b": None})
    script = tmp_path / "dag.py"
    script.write_text(
        "from airflow_provider_sync.task_groups.sync_dag import SyncDag\n"
        "dag = SyncDag.from_yaml('client.yaml', dag_id='d', per_table=True)\n"
    )
    found: dict[str, SyncDag] = {}
    exec(compile(script.read_text(), str(script), "exec"), found)
    assert sorted(found["dag"].task_ids) == ["directories.a_b", "directories.a_b_2"]
    assert found["dag"].get_task("directories.a_b").config == str(tmp_path / "client.yaml")


def test_no_secret_is_in_the_dag(file: Path) -> None:
    """Neither the token nor its variable is an argument of a task."""
    dag = SyncDag.from_yaml(file, dag_id="without_secrets", per_table=True)
    assert "TOKEN" not in str([vars(task) for task in dag.tasks]).upper().replace("DEFERRAL_TOKEN", "")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "http://x"}, "names no table and no directory"),
        ({"url": "http://x", "tables": ["orders"]}, "tables must be a mapping"),
        ({"url": "http://x", "directories": "images"}, "directories must be a mapping"),
    ],
)
def test_refused(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    """A file without tables and directories is an error of the DAG's file."""
    with pytest.raises(ConfigurationError, match=message):
        SyncDag.from_yaml(write(tmp_path / "client.yaml", **settings), dag_id="d")
    with pytest.raises(ConfigurationError, match="Cannot read"):
        SyncDag.from_yaml(tmp_path / "absent.yaml", dag_id="d")


def test_one_moment_needs_one_task(tmp_path: Path) -> None:
    """``consistent`` in the file is refused with a task for each table, and accepted with one task."""
    file = write(tmp_path / "client.yaml", url="http://x", consistent=True, tables={"orders": None})
    with pytest.raises(ConfigurationError, match=r"consistent needs one task .* per_table"):
        SyncDag.from_yaml(file, dag_id="d", per_table=True)
    assert SyncDag.from_yaml(file, dag_id="d").task_ids == ["sync"]
