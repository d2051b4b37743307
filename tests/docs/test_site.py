"""The documentation as a site: `make docs`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_sync.cli.definition import COMMANDS
from tests.docs.pages import PROJECT

# What runs without a server of the internet: everything that a page loads is in the site.
FROM_ELSEWHERE = ('<script src="http', '<link rel="stylesheet" href="http')


@pytest.mark.slow
def test_the_site_is_complete(tmp_path: Path) -> None:
    """No link is dead and no page is missing, which would be errors; classes, commands and examples have pages of their own."""
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "-q", "-f", PROJECT / ".ci" / "site" / "mkdocs.yml", "-d", tmp_path],
        cwd=PROJECT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr

    code = tmp_path / "code"
    assert {path.stem for path in (code / "commands").iterdir()} == {command.name for command in COMMANDS}
    examples = {path.name for path in (PROJECT / "example_dags").glob("example_*.*")}
    assert {path.stem for path in (code / "examples").iterdir()} == examples
    for page, part in (
        ("operators/TableSyncOperator", "connection of the target database"),
        ("sensors/TableChangedSensor", "when_unchanged"),
        ("triggers/TableChangedTrigger", "poll_interval"),
        ("hooks/SyncServerHook", "sync_conn_id"),
        ("notifications/SyncReportNotifier", "skip_unchanged"),
        ("task_groups/TableSyncGroup", "slices"),
        ("assets", "create_asset"),
        ("exceptions", "GuardError"),
    ):
        assert part in (code / f"{page}.html").read_text()
    pages = list(tmp_path.rglob("*.html"))
    assert [page for page in pages if any(start in page.read_text() for start in FROM_ELSEWHERE)] == []
    found = json.loads((tmp_path / "search" / "search_index.json").read_text())["docs"]
    assert any("binlog_format" in entry["text"] for entry in found)
