"""``list``: what there is to sync."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.cli.conftest import Command
from tests.cli.site import Site


def test_list_names_everything(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``list`` prints a line for each table and directory, and where it goes."""
    assert command("list") == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0].split() == ["table", "orders", "->", "orders"]
    assert f"images -> {site.folder / 'copies'}" in text


def test_list_as_json(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``list --json`` prints the names as JSON."""
    assert command("list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"tables": ["orders", "customers"], "directories": ["images"]}


def test_list_shows_what_is_not_configured(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``list`` also names what the server offers and the configuration leaves out."""
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    site.configure(settings["url"], tables={"orders": {"table": "copies"}}, directories={})
    assert command("list") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["table", "orders", "->", "copies"] in lines
    assert ["table", "customers", "->", "not", "configured"] in lines


def test_list_by_version_1_names_what_is_configured(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``list`` falls back to the configuration where the protocol cannot tell."""
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    site.configure(settings["url"], protocol=1, tables={"orders": {}}, directories={})
    assert command("list") == 0
    printed = capsys.readouterr()
    assert printed.out.split() == ["table", "orders", "->", "orders"]
    assert "These are the names in the configuration." in printed.err


def test_list_at_a_wrong_url_says_that_nothing_was_asked(
    site: Site, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing answers as version 2 does, nobody takes what the configuration names for what a server offers."""
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    site.configure(f"{settings['url']}/elsewhere")
    assert command("list", "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["tables"] == ["orders", "customers"]
    assert "if it is a sync server" in printed.err
