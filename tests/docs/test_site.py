"""The documentation as a site: `make docs`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_sync.cli.definition import COMMANDS
from tests.docs.pages import PROJECT

# What runs without a server of the internet: everything that a page loads is in the site.
FROM_ELSEWHERE = ('<script src="http', '<link rel="stylesheet" href="http')


BUILD = ["build", "-f", ".ci/site/mkdocs.yml"]


def build_site(project: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a copy of the project as ``make docs`` does, into a folder."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", *BUILD, "-d", folder],
        cwd=project,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_builds_it_so() -> None:
    """``make docs`` calls MkDocs as these tests do."""
    assert f".venv/bin/mkdocs {' '.join(BUILD)}\n" in (PROJECT / "Makefile").read_text()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_is_dead_or_missing(tmp_path: Path) -> None:
    """A link to a missing page or heading, and a page that no index names, end the build."""
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "airflow_provider_sync", "example_dags"):
        (tmp_path / name).symlink_to(PROJECT / name)
    for name in ("docs", ".ci/site"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    (tmp_path / "docs" / "how-to" / "lost.md").write_text("# Lost\n\n[a page](nowhere.md), [a heading](upgrade.md#nothing)\n")
    built = build_site(tmp_path, tmp_path / "site")
    assert built.returncode != 0
    for mistake in ("how-to/lost.md", "nowhere.md", "#nothing"):
        assert mistake in built.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_site_is_complete(tmp_path: Path) -> None:
    """The site has no dead link and every page; classes, commands and examples have their own pages."""
    built = build_site(PROJECT, tmp_path)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "excluded from the built site" not in built.stderr

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
