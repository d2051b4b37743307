"""``doctor`` explains why tables differ."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Command
from tests.cli.site import Site, execute


def test_equal_tables_need_no_doctor(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Without differences, the exit code is 0."""
    command("run")
    capsys.readouterr()
    assert command("doctor") == 0
    assert capsys.readouterr().out == "orders: equal\ncustomers: equal\n"


def test_reasons_and_samples_are_printed(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Each column that differs is printed with the reason and with values from both sides; the exit code is 1."""
    command("run")
    capsys.readouterr()
    execute(
        site.target,
        "UPDATE orders SET name = upper(name)",
        "DELETE FROM orders WHERE id = 3",
        "INSERT INTO orders VALUES (8, 'x')",
    )
    assert command("doctor", "--table", "orders") == 1
    assert capsys.readouterr().out.splitlines() == [
        "orders: differs",
        "  1 row only in the source",
        "  1 row only in the target",
        "  column name: 2 rows: case",
        "    1: source 'one', target 'ONE'",
        "    2: source 'zwei', target 'ZWEI'",
    ]


def test_json(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``--json`` prints one array, an object for each table."""
    command("run")
    capsys.readouterr()
    execute(site.target, "UPDATE orders SET name = name || '  ' WHERE id = 3")
    assert command("doctor", "--json") == 1
    orders, customers = json.loads(capsys.readouterr().out)
    assert (orders["differs"], customers["differs"]) == (True, False)
    assert orders["columns"][0]["samples"] == [{"key": ["3"], "source": "三", "target": "三  "}]
