"""``diff`` shows the rows that a run would change, by their keys."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.cli.conftest import Command
from tests.cli.site import Site, execute


@pytest.fixture
def changed(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> Site:
    """Give a target in which rows are missing, other and too many."""
    command("run")
    capsys.readouterr()
    execute(site.source, "INSERT INTO orders VALUES (4, 'new')", "UPDATE orders SET name = 'other' WHERE id < 3")
    execute(site.target, "INSERT INTO orders VALUES (-9, 'surplus')")
    return site


def test_keys_are_shown_with_what_would_happen(changed: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``+``, ``~`` and ``-`` stand before the keys of rows that a run would insert, update and delete; nothing is written."""
    before = changed.rows("orders")
    assert command("diff", "--table", "orders") == 1
    printed = capsys.readouterr().out
    assert printed[printed.index("orders:") :].splitlines() == ["orders:", "+ 4", "~ 1", "~ 2", "- -9"]
    assert changed.rows("orders") == before


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
@pytest.mark.parametrize("name", ["diff", "doctor", "run --dry-run"])
def test_a_database_that_is_not_there_is_not_made(
    site: Site, command: Command, capsys: pytest.CaptureFixture[str], kind: str, name: str
) -> None:
    """A target whose file a run would create counts as empty, and ``diff`` does not create the file."""
    url = str(yaml.safe_load(site.config.read_text(encoding="utf-8"))["url"])
    folder = site.folder / "databases"
    folder.mkdir()
    tables = {"orders": {"create_table": True}}
    site.configure(url, connections={"new": f"{kind}:///{folder}/new.db"}, tables=tables, directories={})
    changed = 0 if name.startswith("run") else 1
    assert command(*name.split()) == changed
    words = "There is no table 'orders'" if name == "doctor" else "orders: schema: make table 'orders'"
    assert words in capsys.readouterr().out
    assert list(folder.iterdir()) == []
    assert command("run") == 0
    assert command(*name.split()) == 0


def test_no_more_keys_than_asked_for(changed: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``--keys`` limits the lines, and the last one says how many there are more."""
    assert command("diff", "--table", "orders", "--keys", "1") == 1
    assert capsys.readouterr().out.splitlines()[-2:] == ["+ 4", "… and 3 more"]


def test_a_number_of_keys_below_none(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A negative ``--keys`` is wrong usage."""
    with pytest.raises(SystemExit) as ended:
        command("diff", "--keys", "-1")
    assert ended.value.code == 2
    assert "'-1' is not a number from 0 to 1000000000" in capsys.readouterr().err


def test_json_has_the_keys(changed: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``--json`` has the complete lists beside each report of a table, and the paths beside that of a directory."""
    assert command("diff", "--json") == 1
    orders, customers, images = json.loads(capsys.readouterr().out)
    assert orders["keys"] == {"inserted": [["4"]], "updated": [["1"], ["2"]], "deleted": [["-9"]]}
    assert customers["keys"] == {"inserted": [], "updated": [], "deleted": []}
    assert orders["keys_omitted"] == customers["keys_omitted"] == 0
    assert (images["changes"], images["paths_omitted"]) == ([], 0)


def test_one_table_that_fails_does_not_hide_the_others(
    changed: Site, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table that cannot be compared is reported as failed, the rest is shown, and the exit code is 3."""
    execute(changed.target, "DROP TABLE customers")
    assert command("diff", "--json") == 3
    printed = capsys.readouterr()
    statuses = {report["name"]: report["status"] for report in json.loads(printed.out)}
    assert statuses == {"orders": "planned", "customers": "failed", "images": "unchanged"}
    assert "There is no table 'customers'" in printed.err


def test_paths_are_shown_with_sizes_and_reasons(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Files and directories that a run would change are lines with sizes and the reason; ``--keys`` limits them."""
    command("run")
    source, target = site.folder / "images", site.folder / "copies"
    (source / "a new\nfile").write_text("12")
    (source / "empty").mkdir()
    (source / "grown").write_text("x" * 1234)
    (target / "grown").write_text("x")
    (target / "old").write_text("123")
    capsys.readouterr()
    assert command("diff", "--directory", "images") == 1
    printed = capsys.readouterr().out
    assert printed[printed.index("images:") :].splitlines() == [
        "images:",
        r"+ 'a new\nfile'  2 bytes          new",
        "+ empty          directory        new",
        "~ grown          1 → 1,234 bytes  size",
        "- old            3 bytes          gone",
    ]
    assert command("diff", "--directory", "images", "--keys", "1") == 1
    assert capsys.readouterr().out.splitlines()[-1] == "… and 3 more"
    assert command("diff", "--directory", "images", "--json") == 1
    (images,) = json.loads(capsys.readouterr().out)
    assert images["changes"][2] == {
        "path": "grown",
        "change": "update",
        "kind": "file",
        "reason": "size",
        "source_size": 1234,
        "target_size": 1,
    }
    assert not (target / "empty").exists()


def test_a_directory_that_fails_does_not_hide_the_tables(
    changed: Site, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory that cannot be listed is reported as failed, the tables are shown, and the exit code is 3."""
    (changed.folder / "images").rename(changed.folder / "elsewhere")
    assert command("diff", "--json") == 3
    printed = capsys.readouterr()
    statuses = {report["name"]: report["status"] for report in json.loads(printed.out)}
    assert statuses == {"orders": "planned", "customers": "unchanged", "images": "failed"}
    assert "images" in printed.err


def test_nothing_that_differs(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Without differences, there are only the reports, and the exit code is 0."""
    command("run")
    capsys.readouterr()
    assert command("diff") == 0
    printed = capsys.readouterr().out
    assert "images" in printed
    assert not any(line.endswith(":") for line in printed.splitlines())
