"""``clean``: what interrupted syncs left behind."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing

import pytest

from airflow_provider_sync.files.paths import resumable_name, temporary_name
from tests.cli.conftest import Command
from tests.cli.site import Site, execute

HOUR = 3600


def tables(site: Site) -> list[str]:
    """Name the tables of the target."""
    with closing(sqlite3.connect(site.target)) as connection:
        return sorted(row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"))


def test_clean_removes_what_is_old(
    site: Site, command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``clean`` removes staging tables and temporary files older than a day, or than ``--older-than``."""
    command("run")
    now = int(time.time())
    copies = site.folder / "copies"
    # Nobody can set the other time that counts, that of the inode's change.
    monkeypatch.setattr("airflow_provider_sync.files.local.local_storage.last_written", lambda status: status.st_mtime)
    for hours in (2, 30):
        execute(site.target, f"CREATE TABLE _sync_0123456789abcdef_{now - hours * HOUR:08x} (id INTEGER)")
        file = copies / (temporary_name() if hours == 2 else resumable_name("file", "version"))
        file.write_text("half")
        os.utime(file, (now - hours * HOUR,) * 2)
    execute(site.target, "CREATE TABLE _sync_mine (id INTEGER)")
    capsys.readouterr()

    assert command("clean") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Removed 1 staging tables and 1 temporary files."
    assert len(list(copies.iterdir())) == 2

    assert command("clean", "--older-than", "1.5h") == 0
    assert tables(site) == ["_sync_mine", "customers", "orders"]
    assert [file.name for file in copies.iterdir()] == ["a.png"]
    capsys.readouterr()

    assert command("clean", "--older-than", "0s") == 0
    assert capsys.readouterr().out == "Removed 0 staging tables and 0 temporary files.\n"
    assert len(site.rows("orders")) == 3


def test_clean_without_a_directory(site: Site, command: Command) -> None:
    """A missing directory has nothing to clean, and is not created."""
    assert command("clean") == 0
    assert not (site.folder / "copies").exists()


def test_clean_without_a_database(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing database file has nothing to clean, and is not created."""
    site.target.unlink()
    assert command("clean") == 0
    assert capsys.readouterr().out == "Removed 0 staging tables and 0 temporary files.\n"
    assert not site.target.exists()
