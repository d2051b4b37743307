"""``list``: what there is to sync."""

from __future__ import annotations

import json

import pytest

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
