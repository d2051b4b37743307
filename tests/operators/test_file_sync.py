"""``FileSyncOperator`` against a real server, real folders and a real S3 protocol."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, AirflowSkipException, ObjectStoragePath
from structlog.testing import capture_logs

from airflow_provider_sync.config import TargetDirectory
from airflow_provider_sync.operators.file_sync import FileSyncOperator
from tests.airflow_runs import run_dag, task_states
from tests.source_server import TOKEN, Source


def execute(**arguments: Any) -> list[dict[str, Any]]:
    """Run an operator outside a DAG."""
    return FileSyncOperator(task_id="sync", **arguments).execute({})


def files(folder: Path) -> dict[str, str]:
    """Return the files below a folder, hidden ones of the sync itself left out."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give an empty folder."""
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


IMAGES = {"one.txt": "one of images", "deep/two.pdf": "two of images"}


def test_one_directory(source: Source, folder: Path) -> None:
    """The files of a single directory arrive in the path itself, and surplus files are deleted."""
    (folder / "old.txt").write_text("old")
    (report,) = execute(directories="images", path=str(folder))
    assert files(folder) == IMAGES
    assert (report["status"], report["files_added"], report["files_deleted"]) == ("changed", 2, 1)


def test_paths_of_other_kinds(source: Source, folder: Path) -> None:
    """The path may be a ``Path``, an object storage path, or a file URL."""
    for kind in (folder, ObjectStoragePath(f"file://{folder}"), f"file://{folder}"):
        (folder / "old.txt").write_text("old")
        execute(directories="images", path=kind)
        assert files(folder) == IMAGES


def test_object_storage(source: Source, bucket: str) -> None:
    """A URL with a connection is synced into a bucket; a second sync finds no difference."""
    (report,) = execute(directories=["images"], path=f"s3://store@{bucket}/all")
    assert report["files_added"] == 2
    found = ObjectStoragePath(f"s3://store@{bucket}/all/images/deep/two.pdf")
    assert found.read_text() == "two of images"
    (report,) = execute(directories=["images"], path=ObjectStoragePath(f"s3://store@{bucket}/all"))
    assert report["status"] == "unchanged"


def test_several_directories(source: Source, folder: Path) -> None:
    """Each directory of a list gets a folder of its name, and the reports have the same order."""
    reports = execute(directories=["letters", "images"], path=str(folder))
    assert [report["name"] for report in reports] == ["letters", "images"]
    assert files(folder / "images") == IMAGES
    assert set(files(folder / "letters")) == {"one.txt", "deep/two.pdf"}
    assert json.loads(json.dumps(reports)) == reports


def test_options(source: Source, folder: Path) -> None:
    """Options of an entry override those of the operator."""
    execute(
        directories={"images": {"include": ["**/*.pdf"], "path": str(folder / "pictures")}, "letters": None},
        path=str(folder),
        exclude='["deep/**"]',
        files_per_request="1",
    )
    assert files(folder / "pictures") == {}
    assert set(files(folder / "letters")) == {"one.txt"}


def test_every_option_reaches_the_plan(folder: Path) -> None:
    """Every option of a directory is an argument of the operator, also as a template's text."""
    given = {
        "prefix": "2026/01",
        "hasher": "none",
        "include": ["*.png"],
        "exclude": ["tmp/**"],
        "max_deletes": "7",
        "allow_empty_source": "true",
        "checksum": "never",
        "delete": "false",
        "backup": "old",
        "backup_days": "30",
        "links": "keep",
        "mtime": "false",
        "permissions": "true",
        "atomic": "true",
        "durable": "false",
        "downloads": "2",
        "skip_unreadable": "true",
        "files_per_request": "5",
        "bytes_per_request": "1000",
        "max_seconds": "60",
    }
    operator = FileSyncOperator(task_id="sync", directories="images", path=str(folder), **given)
    (directory,) = operator.plan().directories
    defaults = TargetDirectory(name="images", path=str(folder))
    assert set(given) == set(TargetDirectory.model_fields) - {"name", "path"}
    assert [name for name in given if getattr(directory, name) == getattr(defaults, name)] == []


def test_what_the_source_lacks_may_be_kept(source: Source, folder: Path) -> None:
    """With ``delete=False``, no file is deleted."""
    (folder / "old.txt").write_text("old")
    (report,) = execute(directories="images", path=folder, delete=False)
    assert (report["files_added"], report["files_deleted"]) == (2, 0)
    assert files(folder) == {**IMAGES, "old.txt": "old"}


def test_dry_run(source: Source, folder: Path) -> None:
    """A dry run reports what would change, and writes nothing."""
    (folder / "old.txt").write_text("old")
    (report,) = execute(directories="images", path=folder, dry_run=True)
    assert (report["status"], report["files_added"], report["files_deleted"]) == ("planned", 2, 1)
    assert files(folder) == {"old.txt": "old"}


def test_skip_when_all_are_unchanged(source: Source, folder: Path) -> None:
    """With ``skip_unchanged``, the task is skipped if every directory was up to date."""
    execute(directories="images", path=folder, skip_unchanged=True)
    with pytest.raises(AirflowSkipException, match="up to date"):
        execute(directories="images", path=folder, skip_unchanged=True)


def test_guard(source: Source, folder: Path) -> None:
    """A guard that stops a sync fails the task at once, naming the option, and nothing is deleted."""
    for number in range(200):
        (folder / f"{number}.txt").write_text("mine")
    with pytest.raises(AirflowFailException, match="max_deletes"):
        execute(directories="images", path=folder)
    assert len(files(folder)) == 200


def test_log(source: Source, folder: Path) -> None:
    """The log has one table with a line for each report, and no secret."""
    with capture_logs() as events:
        execute(directories=["images", "letters"], path=folder)
    (table,) = [event["event"].strip() for event in events if "inserted" in event["event"]]
    assert [line.split()[0] for line in table.splitlines()][2:] == ["images", "letters"]
    assert TOKEN not in str(events)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"directories": ""}, "'directories' rendered to ''"),
        ({"directories": "images"}, "Directory 'images' has no path"),
        ({"directories": "images", "path": "None"}, "'path' rendered to 'None'"),
        ({"directories": "images", "path": "/nowhere", "files_per_request": "many"}, "'images'.*files_per_request"),
        ({"directories": ["../images"], "path": "/nowhere"}, "cannot be kept in a folder of its own name"),
        ({"directories": {"images": {"pattern": "*"}}, "path": "/nowhere"}, "pattern"),
    ],
)
def test_wrong_arguments(source: Source, arguments: dict[str, Any], message: str) -> None:
    """A wrong argument fails the task at once, naming it, and nothing is written."""
    with pytest.raises(AirflowFailException, match=message):
        execute(**arguments)
    assert not Path("/nowhere").exists()


def test_arguments_are_not_checked_early() -> None:
    """A DAG with templates in every argument can be parsed."""
    fields = set(FileSyncOperator.template_fields) - {"is_dry_run"}
    operator = FileSyncOperator(task_id="sync", dry_run="{{ x }}", **dict.fromkeys(fields, "{{ x }}"))
    assert {getattr(operator, name) for name in FileSyncOperator.template_fields} == {"{{ x }}"}


def test_templates(source: Source, folder: Path) -> None:
    """Names, options and paths may be templates, also inside an object storage path."""
    params = {"folder": str(folder), "name": folder.name, "names": ["images"]}
    with DAG("file_templates", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), params=params) as dag:
        FileSyncOperator(task_id="text", directories="{{ params.names }}", path="{{ params.folder }}")
        FileSyncOperator(
            task_id="storage",
            directories={"letters": {"exclude": ["{{ 'deep' }}/**"]}},
            path=ObjectStoragePath(f"file://{folder.parent}") / "{{ params.name }}",
        )
        FileSyncOperator(task_id="empty", directories="images", path="{{ params.folder[:0] }}")
    assert task_states(run_dag(dag)) == {"text": "success", "storage": "success", "empty": "failed"}
    assert files(folder / "images") == IMAGES
    assert set(files(folder / "letters")) == {"one.txt"}
