"""The log of a command that syncs: what a run did, for whoever reads no terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.cli.site import Site, execute


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a log in JSON; the server of the tests, in this process, has others."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in found if line["logger"].endswith(".run_log")]


def errors(path: Path) -> list[str]:
    """Return the errors of a log; the server of the tests may still log an earlier command's requests."""
    return [line for line in path.read_text().splitlines() if " ERROR " in line]


def test_a_run_into_a_file(site: Site, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log file has one line with a report for each table and directory, even if nothing is printed."""
    log = tmp_path / "sync.log"
    assert command("run", "--quiet", "--log-format", "json", "--log-file", str(log)) == 0
    assert capsys.readouterr() == ("", "")
    assert [(line["level"], line["kind"], line["name"], line["status"]) for line in lines(log)] == [
        ("INFO", "table", "orders", "changed"),
        ("INFO", "table", "customers", "changed"),
        ("INFO", "directory", "images", "changed"),
    ]
    assert lines(log)[0]["rows_inserted"] == 3
    assert lines(log)[0]["message"].startswith("table orders: changed, ")
    assert " rows_total=3 rows_inserted=3 " in lines(log)[0]["message"]


def test_a_run_that_fails(site: Site, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A failure is an error in the log file, with its reason; the error that ends the command is the last line."""
    log = tmp_path / "sync.log"
    execute(site.target, "DROP TABLE orders")
    assert command("run", "--log-file", str(log), "--log-level", "error") == 3
    failed, ended = errors(log)
    assert " ERROR run_log: table orders: failed: " in failed
    assert " ERROR main: " in ended
    assert "Traceback" not in log.read_text()
    assert command("run", "--table", "nope", "--log-file", str(log)) == 2
    assert "'nope' is not under tables" in errors(log)[-1]
    capsys.readouterr()


def test_nothing_is_said_twice(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a file, standard error has log lines only on request, because it has the errors anyway."""
    assert command("run") == 0
    assert capsys.readouterr().err == ""
    assert command("run", "--log-level", "info") == 0
    assert capsys.readouterr().err.count(" INFO run_log: ") == 3
    execute(site.target, "DROP TABLE orders")
    assert command("run") == 3
    assert " ERROR " not in capsys.readouterr().err
