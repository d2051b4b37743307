"""``FilesChangedSensor`` against a real server and real folders."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    ObjectStoragePath,
)

from airflow_provider_sync.operators.file_sync import FileSyncOperator
from airflow_provider_sync.sensors.files_changed import FilesChangedSensor
from tests.airflow_runs import run_dag, task_states
from tests.client.scripted_server import scripted_server
from tests.source_server import Source


@pytest.fixture
def folder(source: Source, tmp_path: Path) -> Path:
    """Give a folder that is equal to the source's images."""
    FileSyncOperator(task_id="sync", directories="images", path=tmp_path / "images").execute({})
    return tmp_path / "images"


def poke(**arguments: Any) -> bool:
    """Ask once, outside a DAG."""
    return FilesChangedSensor(task_id="changed", **{"directory": "images", **arguments}).poke({})


def test_difference(source: Source, folder: Path) -> None:
    """A new, changed or removed file on either side is a difference."""
    source.write("images", "three.txt", "new")
    assert poke(path=folder) is True
    source.folder.joinpath("images/three.txt").unlink()
    assert poke(path=folder, when_unchanged="wait") is False
    (folder / "one.txt").write_text("another")
    assert poke(path=folder) is True
    assert (folder / "one.txt").read_text() == "another"


def test_skip(folder: Path) -> None:
    """Without a difference, the task is skipped at the first comparison, by default."""
    with pytest.raises(AirflowSkipException, match="equal"):
        poke(path=str(folder))


def test_selection(source: Source, folder: Path) -> None:
    """Only files that the patterns select are compared."""
    source.write("images", "three.txt", "new")
    assert poke(path=folder, exclude=["three.*"], when_unchanged="wait") is False
    assert poke(directory={"images": {"path": str(folder), "include": ["three.*"]}}) is True


def test_prefix(source: Source, tmp_path: Path) -> None:
    """Only the files below a folder of the source are compared, as if the server offered it alone."""
    source.write("images", "2026/01.txt", "january")
    (tmp_path / "year").mkdir()
    (tmp_path / "year" / "01.txt").write_text("january")
    assert poke(path=tmp_path / "year", prefix="2026", when_unchanged="wait") is False
    source.write("images", "2026/02.txt", "february")
    assert poke(path=tmp_path / "year", prefix="2026") is True


def test_object_storage_path(folder: Path) -> None:
    """The path may be an object storage path."""
    assert poke(path=ObjectStoragePath(f"file://{folder}"), when_unchanged="wait") is False


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_modes(source: Source, tmp_path: Path, mode: str) -> None:
    """In both modes, the sensor succeeds on a difference, and is skipped without one."""
    path = str(tmp_path / "modes")
    with DAG(f"files_sensor_{mode}", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), params={"path": path}) as dag:
        changed = FilesChangedSensor(task_id="changed", directory="images", path="{{ params.path }}", mode=mode)
        changed >> FileSyncOperator(task_id="sync", directories="images", path=path)
    assert task_states(run_dag(dag)) == {"changed": "success", "sync": "success"}
    assert task_states(run_dag(dag)) == {"changed": "skipped", "sync": "skipped"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"directory": ""}, "'directory' rendered to ''"),
        ({"directory": ["images", "letters"], "path": "/nowhere"}, "'directory' names 2 directories"),
        ({"directory": "images"}, "Directory 'images' has no path"),
        ({"directory": "nothing", "path": "/nowhere"}, "nothing"),
    ],
)
def test_wrong_arguments(source: Source, arguments: dict[str, Any], message: str) -> None:
    """A wrong argument fails the task at once, naming it, and nothing is written."""
    with pytest.raises(AirflowFailException, match=message):
        poke(**arguments)
    assert not Path("/nowhere").exists()


@pytest.mark.parametrize("max_seconds", [0.5, "0.5"])
def test_a_look_ends(folder: Path, monkeypatch: pytest.MonkeyPatch, max_seconds: float | str) -> None:
    """If a source never answers, the comparison fails after max_seconds, and a retry may succeed."""
    with scripted_server() as server:
        server.answer(server.silence)
        monkeypatch.setenv("AIRFLOW_CONN_STUCK", json.dumps({"conn_type": "sync", "host": server.url}))
        with pytest.raises(AirflowException, match=r"longer than the 0\.5 seconds that max_seconds allows") as caught:
            poke(path=folder, sync_conn_id="stuck", max_seconds=max_seconds)
    assert not isinstance(caught.value, AirflowFailException)
    for value in (0, "1e20", "nan", "inf"):
        with pytest.raises(AirflowFailException, match="'max_seconds' is"):
            poke(path=folder, max_seconds=value)
