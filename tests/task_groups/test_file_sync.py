"""``FileSyncGroup``: compare, download and delete as tasks, against a real server."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from airflow_provider_sync.operators.file_sync import FileCompareOperator, FileDeleteOperator, FileDownloadOperator
from airflow_provider_sync.sync.directories.version2 import steps
from airflow_provider_sync.task_groups.file_sync import FileSyncGroup
from tests.airflow_runs import run_dag, task_states
from tests.source_server import Source
from tests.task_groups.test_table_sync import result_of, states_of


def test_mapped(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files arrive through mapped downloads, and surplus files are deleted; then all tasks are skipped."""
    monkeypatch.setattr(steps, "FILE_BYTES", 1_000)
    monkeypatch.setattr(steps, "TASK_BYTES", 2_000)
    for number in range(3):
        source.write("images", f"{number}.txt", "x")
    folder = tmp_path / "target"
    folder.mkdir()
    (folder / "gone.txt").write_text("x")
    with DAG("mapped_files", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        FileSyncGroup(directories="images", path=str(folder), batches=4)
    run = run_dag(dag)
    assert states_of(run) == {
        "sync_images.compare": ["success"],
        "sync_images.download": ["success"] * 3,
        "sync_images.delete": ["success"],
    }
    (report,) = result_of(run, "sync_images.delete")
    assert (report["status"], report["files_added"], report["files_deleted"], report["verified"]) == ("changed", 5, 1, "digest")
    assert sorted(path.name for path in folder.rglob("*.*")) == ["0.txt", "1.txt", "2.txt", "one.txt", "two.pdf"]
    again = task_states(run_dag(dag))
    assert {again[f"sync_images.{step}"] for step in ("compare", "download", "delete")} == {"skipped"}


def test_several_directories_without_mapping(source: Source, tmp_path: Path) -> None:
    """Several directories share the tasks, and ``batches=1`` maps none."""
    with DAG("single_files", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        FileSyncGroup("files", directories=["images", "letters"], path=str(tmp_path / "target"), batches=1)
    run = run_dag(dag)
    assert states_of(run) == {"files.compare": ["success"], "files.download": ["success"], "files.delete": ["success"]}
    assert [report["files_added"] for report in result_of(run, "files.delete")] == [2, 2]


def test_a_download_is_missing(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the result of a download is missing, no file is deleted, and no directory counts as equal."""
    monkeypatch.setattr(steps, "FILE_BYTES", 1_000)
    monkeypatch.setattr(steps, "TASK_BYTES", 1_000)
    (tmp_path / "target").mkdir()
    (tmp_path / "target/gone.txt").write_text("x")
    arguments: dict[str, Any] = {"directories": "images", "path": str(tmp_path / "target")}
    batches = FileCompareOperator(task_id="compare", batches=2, **arguments).execute({})
    downloaded = FileDownloadOperator(task_id="download", batch=batches[0], **arguments).execute({})
    with pytest.raises(AirflowFailException, match="Only 1 of 2 downloads"):
        FileDeleteOperator(task_id="delete", batches=downloaded, **arguments).execute({})
    assert (tmp_path / "target/gone.txt").exists()


@pytest.mark.parametrize(("option", "value"), [("path", "elsewhere"), ("prefix", "deep"), ("include", ["*.txt"])])
def test_changed_between_steps(source: Source, tmp_path: Path, option: str, value: Any) -> None:
    """An option that decides which files are synced may not change between steps; the error names it."""
    (tmp_path / "target").mkdir()
    (tmp_path / "target/gone.txt").write_text("x")
    arguments: dict[str, Any] = {"directories": "images", "path": str(tmp_path / "target")}
    changed = {**arguments, option: str(tmp_path / value) if option == "path" else value}
    batches = FileCompareOperator(task_id="compare", **arguments).execute({})
    message = f"'images': {option} is not what it was"
    with pytest.raises(AirflowFailException, match=message):
        FileDownloadOperator(task_id="download", batch=batches, **changed).execute({})
    downloaded = FileDownloadOperator(task_id="download", batch=batches, **arguments).execute({})
    with pytest.raises(AirflowFailException, match=message):
        FileDeleteOperator(task_id="delete", batches=downloaded, **changed).execute({})
    assert (tmp_path / "target/gone.txt").exists()
    FileDeleteOperator(task_id="delete", batches=downloaded, max_deletes=1, **arguments).execute({})
    assert sorted(path.name for path in (tmp_path / "target").rglob("*.*")) == ["one.txt", "two.pdf"]


@pytest.mark.parametrize(
    ("operator", "arguments", "message"),
    [
        (FileCompareOperator, {"batches": 2000}, "'batches' is 2000"),
        (FileDownloadOperator, {"batch": {"path": "x"}}, "not what the step before returns"),
        (FileDeleteOperator, {"batches": [{"directory": "x"}]}, "'directories' does not"),
    ],
)
def test_wrong_arguments(source: Source, tmp_path: Path, operator: Any, arguments: dict[str, Any], message: str) -> None:
    """A wrong argument fails the task at once, naming it, and nothing is written."""
    folder = tmp_path / "target"
    with pytest.raises(AirflowFailException, match=message):
        operator(task_id="step", **{"directories": "images", "path": str(folder), **arguments}).execute({})
    assert not folder.exists()
