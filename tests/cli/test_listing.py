"""``list``: what there is to sync."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from airflow_provider_sync.cli import table_sizes
from airflow_provider_sync.cli.main import main
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.client.table_streams import DescribedAnswer
from airflow_provider_sync.protocol.v2.messages import DescribeTable
from tests.cli.conftest import Command
from tests.cli.site import Site, execute
from tests.client.scripted_server import reply, scripted_server


def test_list_names_everything(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``list`` prints a line for each table and directory with its target."""
    assert command("list") == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0].split() == ["table", "orders", "->", "orders"]
    assert f"images -> {site.folder / 'copies'}" in text


def test_list_as_json(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``list --json`` prints the names as JSON."""
    assert command("list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"tables": ["orders", "customers"], "directories": ["images"]}


def test_tables_are_asked_about_together(
    site: Site, command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With any number of tables, only those that cannot be described are requested separately."""
    execute(site.source, "DROP TABLE customers")
    alone, describe_table = [], SyncClient.describe_table

    def describe_and_note(client: SyncClient, request: DescribeTable) -> DescribedAnswer:
        alone.append(request.table_slice.name)
        return describe_table(client, request)

    monkeypatch.setattr(SyncClient, "describe_table", describe_and_note)
    assert command("list", "--sizes", "--json") == 0
    sizes = json.loads(capsys.readouterr().out)["sizes"]
    assert alone == ["customers"]
    assert sizes["orders"] == {"rows": 3, "key": ["id"], "columns": 2}
    assert "There is no table 'customers'" in sizes["customers"]["error"]


def test_list_shows_what_is_not_configured(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``list`` also names what the server offers and the configuration leaves out."""
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    site.configure(settings["url"], tables={"orders": {"table": "copies"}}, directories={})
    assert command("list") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["table", "orders", "->", "copies"] in lines
    assert ["table", "customers", "->", "not", "configured"] in lines


def test_list_by_version_1_names_what_is_configured(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``list`` shows the names of the configuration if the server cannot list its own."""
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    site.configure(settings["url"], protocol=1, tables={"orders": {}}, directories={})
    assert command("list") == 0
    printed = capsys.readouterr()
    assert printed.out.split() == ["table", "orders", "->", "orders"]
    assert "These are the names in the configuration." in printed.err


def test_list_at_a_wrong_url_says_that_nothing_was_asked(
    site: Site, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """If no version 2 server answers, ``list`` says that the names are only those of the configuration."""
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    site.configure(f"{settings['url']}/elsewhere")
    assert command("list", "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["tables"] == ["orders", "customers"]
    assert "if it is a sync server" in printed.err


def test_names_that_a_server_offers_are_shown_on_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Escape codes and line breaks in a name reach neither the terminal nor another line."""
    site = Site(tmp_path)
    names = {"\x1b[2Ja\nb\u202e": []}
    with scripted_server() as server:
        server.answer(reply(body=json.dumps({"protocol": 2, "tables": names, "directories": ["c\rd" * 100_000]}).encode()))
        site.configure(server.url)
        assert main(["list", "--config", str(site.config)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() and len(line) < 2_000 for line in lines)


def test_list_shows_where_patterns_lead(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A table that a pattern of the configuration matches is shown with the target that the pattern gives it."""
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    site.configure(settings["url"], tables={"o*": {"table": "copy_o*"}}, directories={})
    assert command("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:4] for line in lines if line.startswith("table")] == [
        ["orders", "->", "copy_orders"],
        ["customers", "->", "not"],
    ]


def test_list_shows_sizes_and_keys(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``list`` shows each table's key and about how many rows it has, or why they are not known; in JSON on demand."""
    execute(site.source, "DROP TABLE customers", "CREATE TABLE customers (id INTEGER)")
    assert command("list") == 0
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert [line.split()[:3] for line in lines[:2]] == [["name", "rows", "(about)"], ["orders", "3", "id"]]
    assert lines[2].startswith("customers             ?  ")
    assert "Table 'customers' has no primary key" in lines[2]
    assert command("list", "--no-sizes") == 0
    assert "rows (about)" not in capsys.readouterr().out
    assert command("list", "--json", "--sizes") == 0
    sizes = json.loads(capsys.readouterr().out)["sizes"]
    assert sizes["orders"] == {"rows": 3, "key": ["id"], "columns": 2}
    assert "no primary key" in sizes["customers"]["error"]


def test_keys_of_too_many_tables(command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of shown keys is limited for all tables together; further tables have none."""
    monkeypatch.setattr(table_sizes, "MAX_KEY_BYTES", 100)
    assert command("list", "--json", "--sizes") == 0
    sizes = json.loads(capsys.readouterr().out)["sizes"]
    assert [(found["key"], found["columns"]) for found in sizes.values()] == [(["id"], 2), ([], 2)]
