"""Syncs that are killed at chosen points: the target is old or new, the next run succeeds, and nothing is left behind."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.database_servers import DUCKDB, MARIADB, POSTGRESQL, SQLITE
from tests.engines import on_engines
from tests.sync.directories.mirror import Mirror, everything
from tests.sync.link import Link
from tests.sync.tables.killing import (
    COMMITTED_POINTS,
    DIFFERENCE_POINTS,
    FILE_POINTS,
    FIRST_POINTS,
    MAKING_POINTS,
    VERSION2_FILE_POINTS,
    owner_of,
    run_killed,
)

TARGETS = (SQLITE, MARIADB, POSTGRESQL, DUCKDB)
"""Engines of the targets: MySQL ends the session of a client that is gone as MariaDB does."""

CREATE = "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))"
FILL = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO t SELECT i, 'x' FROM n"


def killed_at(link: Link, point: str) -> int:
    """Sync the table in a process that is killed, and return its exit code."""
    url = link.target.database.engine.url.render_as_string(hide_password=False)
    link.target.let_go()
    with link.client("t") as client:
        return run_killed("table", client.url, url, "t", "{}", point)


def check_next_run(link: Link) -> None:
    """Check that another run makes both sides equal, and leaves nothing behind."""
    link.sync_one("t")
    link.assert_equal("t")


def test_the_points_are_there() -> None:
    """The points of the code at which syncs are killed exist, also if slow tests are not run."""
    points = (DIFFERENCE_POINTS, FIRST_POINTS, MAKING_POINTS, COMMITTED_POINTS, FILE_POINTS, VERSION2_FILE_POINTS)
    for point in (point for group in points for point in group.values()):
        owner, name = owner_of(point)
        assert callable(getattr(owner, name)), point


@on_engines(*TARGETS)
@pytest.mark.slow
@pytest.mark.parametrize("point", DIFFERENCE_POINTS.values(), ids=DIFFERENCE_POINTS)
def test_a_sync_that_is_killed_before_its_commit(two_into: Link, point: str) -> None:
    """After a kill before the commit, the target is as it was."""
    two_into.create(CREATE)
    two_into.source.execute(FILL)
    two_into.sync_one("t")
    two_into.source.execute(
        "UPDATE t SET v = 'new' WHERE id < 20", "DELETE FROM t WHERE id > 490", "INSERT INTO t VALUES (900, 'new')"
    )
    before = two_into.target.rows("t")
    assert killed_at(two_into, point) == -signal.SIGKILL
    assert two_into.target.rows("t") == before
    check_next_run(two_into)


@on_engines(*TARGETS)
@pytest.mark.slow
@pytest.mark.parametrize("point", FIRST_POINTS.values(), ids=FIRST_POINTS)
def test_a_first_sync_that_is_killed(two_into: Link, point: str) -> None:
    """After a kill of a first sync, the target is empty."""
    two_into.create(CREATE)
    two_into.source.execute(FILL)
    assert killed_at(two_into, point) == -signal.SIGKILL
    assert two_into.target.rows("t") == []
    check_next_run(two_into)


@on_engines(*TARGETS)
@pytest.mark.slow
@pytest.mark.parametrize("point", COMMITTED_POINTS.values(), ids=COMMITTED_POINTS)
def test_a_sync_that_is_killed_behind_its_commit(two_into: Link, point: str) -> None:
    """After a kill after the commit, the target is new, and the next run finds no difference."""
    two_into.create(CREATE)
    two_into.source.execute(FILL)
    two_into.target.execute("INSERT INTO t VALUES (1, 'old'), (900, 'goes')")
    assert killed_at(two_into, point) == -signal.SIGKILL
    assert two_into.target.rows("t") == two_into.source.rows("t")
    assert two_into.sync_one("t").status == "unchanged"
    two_into.assert_clean()


_QUICK = ("moved aside", "file placed")
"""Points where some files have their names and others do not; they are tried each time."""


@pytest.mark.parametrize(
    ("version", "point"),
    [
        pytest.param(version, point, id=f"{version}, {name}", marks=() if name in _QUICK else pytest.mark.slow)
        for version, points in ((1, FILE_POINTS), (2, VERSION2_FILE_POINTS))
        for name, point in points.items()
    ],
)
def test_a_directory_whose_sync_is_killed(folders_of_version2: Mirror, version: int, point: str) -> None:
    """Each file is old or new; the next run makes both sides equal and removes temporary files."""
    folders = folders_of_version2
    folders.put("changed", "new")
    folders.put("deep/added", "new")
    folders.put("was a file/added", "new")
    for path in ("changed", "was a file", "goes/away", "goes too"):
        folders.put_target(path, "old")
    old = folders.contents()
    kind = f"files of version {version}"
    with folders.client() as client:
        code = run_killed(kind, client.url, folders.target.location, "d", json.dumps({"max_deletes": "100%"}), point)
    assert code == -signal.SIGKILL
    new = {"changed": "new", "deep/added": "new", "was a file/added": "new"}
    for path, content in folders.contents().items():
        assert content in (old.get(path), new.get(path))
    folders.sync({"max_deletes": "100%"})
    folders.assert_equal()
    assert everything(Path(folders.target.location)) == ["changed", "deep", "deep/added", "was a file", "was a file/added"]
