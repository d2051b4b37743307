"""``run`` and ``diff``: what they do, what they print, and their exit codes."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
import yaml

from airflow_provider_sync.cli import run as cli_run
from airflow_provider_sync.history import RunningSync, open_history
from airflow_provider_sync.sync import run as sync_run
from tests.cli.conftest import Command
from tests.cli.site import Site, execute, reports

ROWS = [(1, "one"), (2, "zwei"), (3, "三")]


def test_run_syncs_everything(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``run`` syncs all tables and directories, prints one table of results, and says when nothing changed."""
    assert command("run") == 0
    assert site.rows("orders") == site.rows("customers") == ROWS
    assert site.files() == ["a.png"]
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert [line.split()[:2] for line in lines[2:]] == [["orders", "changed"], ["customers", "changed"], ["images", "changed"]]
    assert printed.err == ""
    assert command("run") == 0
    assert capsys.readouterr().out.count("unchanged") == 3


def test_run_takes_only_what_is_named(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``--table`` and ``--directory`` choose, and may be repeated."""
    assert command("run", "--table", "orders", "--json") == 0
    assert list(reports(capsys.readouterr().out)) == ["orders"]
    assert (site.rows("customers"), site.files()) == ([], [])
    assert command("run", "--directory", "images", "--json") == 0
    assert list(reports(capsys.readouterr().out)) == ["images"]
    assert command("run", "--table", "orders", "--table", "customers", "--directory", "images", "--json") == 0
    assert list(reports(capsys.readouterr().out)) == ["orders", "customers", "images"]


@pytest.mark.parametrize("name", ["run", "diff"])
def test_an_unknown_name_is_wrong_usage(site: Site, command: Command, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """An unknown name is wrong usage; the error lists the configured names, and nothing is synced."""
    assert command(name, "--table", "odrers") == 2
    assert capsys.readouterr() == (
        "",
        "airflow-sync: 'odrers' is not under tables in the configuration. Did you mean 'orders'? There are: orders, customers.\n",
    )
    assert site.rows("orders") == []


def test_a_dry_run_writes_nothing(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``run --dry-run`` reports what is planned, and writes nothing; its exit code is 0."""
    assert command("run", "--dry-run", "--json") == 0
    planned = reports(capsys.readouterr().out)
    assert {report["status"] for report in planned.values()} == {"planned"}
    assert planned["orders"]["rows_inserted"] == 3
    assert planned["images"]["files_added"] == 1
    assert site.rows("orders") == []
    assert not (site.folder / "copies").exists()


def test_diff_answers_by_its_exit_code(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``diff`` ends with 1 where a run would change something, with 0 where not, and writes nothing."""
    assert command("diff") == 1
    assert capsys.readouterr().out.count("planned") == 3
    assert site.rows("orders") == []
    command("run")
    capsys.readouterr()
    assert command("diff", "--json") == 0
    assert {report["status"] for report in reports(capsys.readouterr().out).values()} == {"unchanged"}
    execute(site.source, "DELETE FROM orders WHERE id = 3")
    assert command("diff", "--table", "customers") == 0
    assert command("diff", "--table", "orders") == 1


def test_the_rest_is_synced_when_one_fails(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """After a failure, ``run`` ends with 3 and one line on standard error; the rest is synced, and all is reported."""
    execute(site.target, "DROP TABLE orders")
    assert command("run", "--json") == 3
    printed = capsys.readouterr()
    found = reports(printed.out)
    assert {name: report["status"] for name, report in found.items()} == {
        "orders": "failed",
        "customers": "changed",
        "images": "changed",
    }
    assert "CREATE TABLE" in found["orders"]["error"]
    assert site.rows("customers") == ROWS
    assert printed.err.startswith("airflow-sync: There is no table 'orders'")
    assert printed.err.count("\n") == 1


def test_tables_of_one_transaction_arrive_together(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """With ``single_transaction``, a failing table stops the tables of its connection, but not the directories."""
    settings = site.config.read_text().replace("single_transaction: false", "single_transaction: true")
    site.config.write_text(settings)
    execute(site.target, "DROP TABLE orders")
    assert command("run", "--json") == 3
    found = reports(capsys.readouterr().out)
    assert [report["status"] for report in found.values()] == ["failed", "failed", "changed"]
    assert site.rows("customers") == []


def test_a_database_that_cannot_be_opened_is_reported(site: Site, capsys: pytest.CaptureFixture[str], command: Command) -> None:
    """An unusable connection fails its tables, and the rest is synced."""
    url = str(site.config.read_text().split("url: ")[1].split()[0])
    tables = {"orders": {"connection": "oracle://nowhere/x"}, "customers": {"connection": f"sqlite:///{site.folder}/no/such.db"}}
    site.configure(url, tables=tables)
    assert command("run", "--json") == 3
    printed = capsys.readouterr()
    assert [report["status"] for report in reports(printed.out).values()] == ["failed", "failed", "changed"]
    assert printed.err.count("\n") == 1
    assert "'oracle' are not supported" in printed.err


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_no_empty_file_is_left(site: Site, command: Command, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    """A first run into a missing database file without permission to create tables fails and creates no file."""
    settings = yaml.safe_load(site.config.read_text())
    site.configure(settings["url"], connections={"local": f"{kind}:///{site.folder / 'new.db'}"}, directories={})
    assert command("run") == 3
    assert "There is no table 'orders'" in capsys.readouterr().err
    assert not list(site.folder.glob("*new.db*"))


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("name", ["run", "diff"])
def test_each_reason_once(
    site: Site,
    command: Command,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    is_terminal: bool,
) -> None:
    """Each error is printed once on standard error, below the results, with its names; the last line says what to do."""
    settings = yaml.safe_load(site.config.read_text())
    site.configure(**{**settings, "single_transaction": True, "tables": {"orders": {}, "prices": {}, "customers": {}}})
    monkeypatch.setenv("TERM", "dumb")
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    execute(site.target, "CREATE TABLE prices (id INTEGER PRIMARY KEY)", "DROP TABLE customers")
    assert command(name) == 3
    printed = capsys.readouterr()
    assert "prices" in printed.out
    assert "does not offer a table" not in printed.out
    assert "no table 'customers'" not in printed.out
    assert printed.err.count("airflow-sync: prices: The server does not offer a table 'prices'.") == 1
    assert printed.err.count("airflow-sync: customers: There is no table 'customers'") == 1
    assert printed.err.count("does not offer a table") == printed.err.count("There is no table") == 1
    step = f"next: airflow-sync list --config {site.config}"
    assert printed.err.endswith(f"\n{step}\n" if is_terminal else f" {step}\n")


def test_no_server_fails_everything(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """If no server answers, everything is reported as failed, and the message names the address."""
    site.configure("http://127.0.0.1:1/")
    assert command("run", "--json") == 3
    printed = capsys.readouterr()
    assert {report["status"] for report in reports(printed.out).values()} == {"failed"}
    assert "127.0.0.1:1" in printed.err
    assert printed.err.count("\n") == 1
    assert site.rows("orders") == []


def test_a_traceback_only_when_asked_for(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``--verbose`` shows the traceback, and standard output does not change."""
    site.configure("http://127.0.0.1:1/")
    assert command("run", "--json") == 3
    quiet = capsys.readouterr()
    assert "Traceback" not in quiet.err
    assert command("run", "--json", "--verbose") == 3
    loud = capsys.readouterr()
    assert "Traceback" in loud.err
    assert loud.err.splitlines()[-1] == quiet.err.strip()
    assert reports(loud.out).keys() == reports(quiet.out).keys()


def test_a_guard_names_its_option(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A sync that a guard stops ends with 3, and the message says how to allow it."""
    command("run")
    execute(site.source, "DELETE FROM orders")
    capsys.readouterr()
    assert command("run", "--table", "orders") == 3
    assert "set allow_empty_source" in capsys.readouterr().err
    assert site.rows("orders") == ROWS


def test_deletes_are_allowed_for_one_run(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``--max-deletes`` and ``--allow-empty-source`` apply to everything in this run, including patterns, and to no other."""
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    directories = {"images": {**settings["directories"]["images"], "max_deletes": 0}}
    site.configure(**{**settings, "tables": {"*": {"max_deletes": 0}}, "directories": directories})
    gone = site.folder / "images" / "gone.png"
    gone.write_text("image")
    assert command("run") == 0
    execute(site.source, "DELETE FROM orders WHERE id = 3")
    gone.unlink()
    assert command("run", "--max-deletes", "many") == 2
    assert "--max-deletes is 'many'. Give a number" in capsys.readouterr().err
    assert command("run", "--max-deletes", "0") == 3
    said = capsys.readouterr().err
    assert "; --max-deletes is 0. If that is right, set --max-deletes to '100%'" in said
    assert "max_deletes" not in said
    assert command("run") == 3
    assert "; max_deletes is 0. If that is right, set max_deletes to '100%'" in capsys.readouterr().err
    assert command("run", "--max-deletes", "1") == 0
    assert (site.rows("orders"), site.files()) == (ROWS[:2], ["a.png"])
    execute(site.source, "DELETE FROM orders")
    assert command("run", "--table", "orders", "--max-deletes", "100%") == 3
    assert command("run", "--table", "orders", "--max-deletes", "100%", "--allow-empty-source") == 0
    assert site.rows("orders") == []


def test_nothing_to_do(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A configuration without tables and directories gets a message; as JSON it is an empty array."""
    site.configure("http://127.0.0.1:1/", tables={}, directories={})
    assert command("run") == 0
    assert "names no table and no directory" in capsys.readouterr().out
    assert command("run", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_runs_are_recorded_where_that_is_configured(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """With ``history`` in the configuration each run leaves its reports there, failed ones too; a dry run leaves none."""
    url = f"sqlite:///{site.folder / 'history.db'}"
    settings = yaml.safe_load(site.config.read_text())
    site.configure(**{**settings, "history": url, "tables": {"orders": {}, "prices": {"create_table": True}}})
    history = open_history(url)
    assert command("run", "--dry-run") == 3
    assert history.syncs() == []
    assert command("run") == 3
    assert [(sync.key.name, sync.latest.report.status) for sync in history.syncs()] == [
        ("images", "changed"),
        ("orders", "changed"),
        ("prices", "failed"),
    ]
    assert {sync.key.job for sync in history.syncs()} == {f"airflow-sync run {site.config}"}
    assert {sync.latest.origin.source for sync in history.syncs()} == {"command"}


def test_a_run_is_seen_while_it_runs(site: Site, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``history``, a run is listed as running until it ends; a dry run is not."""
    url = f"sqlite:///{site.folder / 'history.db'}"
    site.configure(**{**yaml.safe_load(site.config.read_text()), "history": url})
    history = open_history(url)
    seen: list[RunningSync] = []

    def watched(*arguments: Any, **options: Any) -> Any:
        seen.extend(history.running())
        return sync_run(*arguments, **options)

    monkeypatch.setattr(cli_run, "run", watched)
    assert command("run", "--dry-run") == 0
    assert seen == []
    assert command("run") == 0
    (sync,) = seen
    assert (sync.origin.source, sync.origin.job_name) == ("command", f"airflow-sync run {site.config}")
    assert [work.name for work in sync.work] == ["orders", "customers", "images"]
    assert history.running() == []


def test_a_run_that_fails_before_it_begins_is_recorded(site: Site, command: Command) -> None:
    """A run that cannot create its client leaves a record of all its tables and directories."""
    url = f"sqlite:///{site.folder / 'history.db'}"
    settings = yaml.safe_load(site.config.read_text())
    site.configure(**{**settings, "history": url, "headers": {"X-Key": "two\nlines"}})
    assert command("run") != 0
    found = open_history(url).syncs()
    assert [(sync.key.name, sync.latest.report.status) for sync in found] == [
        ("customers", "failed"),
        ("images", "failed"),
        ("orders", "failed"),
    ]
    assert all("X-Key" in str(sync.latest.report.error) for sync in found)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"token": "${NO_SUCH_TOKEN}"}, "NO_SUCH_TOKEN"),
        ({"default_connection": "nowhere"}, "nowhere"),
        ({"retries": "many", "history_days": "long"}, "retries"),
    ],
    ids=["variable", "connection", "option"],
)
def test_a_configuration_that_cannot_be_used_is_recorded(
    site: Site, command: Command, change: dict[str, Any], reason: str
) -> None:
    """A mistake in the file leaves a failed record of all that it names, or of what the command names; a dry run leaves none."""
    url = f"sqlite:///{site.folder / 'history.db'}"
    site.configure(**{**yaml.safe_load(site.config.read_text()), "history": url, **change})
    history = open_history(url)
    assert command("run", "--dry-run") == 2
    assert history.syncs() == []
    assert command("run", "--table", "orders") == 2
    assert [sync.key.name for sync in history.syncs()] == ["orders"]
    assert command("run") == 2
    found = history.syncs()
    assert [(sync.key.name, sync.key.kind, sync.latest.report.status) for sync in found] == [
        ("customers", "table", "failed"),
        ("images", "directory", "failed"),
        ("orders", "table", "failed"),
    ]
    assert all(reason in str(sync.latest.report.error) for sync in found)
    assert {sync.key.job for sync in found} == {f"airflow-sync run {site.config}"}


def test_a_history_that_is_not_known_gets_no_record(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """If the URL of the history itself uses a variable that is not set, only the mistake is printed."""
    site.configure(**{**yaml.safe_load(site.config.read_text()), "history": "sqlite:///${NO_SUCH_FOLDER}/history.db"})
    assert command("run") == 2
    assert capsys.readouterr().err.count("\n") == 1
