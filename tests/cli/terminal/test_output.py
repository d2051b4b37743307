"""What the commands print: styled on a terminal, plain in a pipe, or data."""

from __future__ import annotations

import io
import json

import pytest
import yaml

from airflow_provider_sync.cli.terminal.output import Output
from airflow_provider_sync.text_table import TextTable
from tests.cli.conftest import Command
from tests.cli.site import Site, execute, reports
from tests.cli.terminal.pseudo_terminal import on_a_terminal

ESCAPE = "\x1b"


def test_a_terminal_has_colours(site: Site) -> None:
    """On a terminal, differences have colours by their kind, and an error has the next step on its own line."""
    shown = on_a_terminal("diff", folder=site.folder)
    assert shown.code == 1
    assert f"{ESCAPE}[36mplanned{ESCAPE}[0m" in shown.text
    assert f"{ESCAPE}[32m+ a.png" in shown.text
    (site.folder / "client.yaml").unlink()
    failed = on_a_terminal("run", folder=site.folder)
    assert failed.code == 2
    step = "airflow-sync init --client SERVER_URL"
    assert failed.text.splitlines()[-1] == f"{ESCAPE}[1mnext: {ESCAPE}[0m{ESCAPE}[36m{step}{ESCAPE}[0m"


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_plain_terminals(site: Site, command: Command, capsys: pytest.CaptureFixture[str], environment: dict[str, str]) -> None:
    """With NO_COLOR, and on a dumb terminal, the text is the same as in a pipe, without escape codes."""
    assert command("check", "--connect") == 0
    expected = capsys.readouterr().out
    shown = on_a_terminal("check", "--connect", "--config", str(site.config), **environment)
    assert shown == (0, expected)
    assert ESCAPE not in on_a_terminal("run", "--config", str(site.config), **environment).text


def test_a_narrow_terminal(site: Site) -> None:
    """A terminal without room for all columns shows the important ones, on one line each."""
    shown = on_a_terminal("diff", "--table", "orders", "--keys", "0", folder=site.folder, columns=70)
    assert "requests" not in shown.text
    assert "inserted" in shown.text
    assert len([line for line in shown.text.splitlines() if "orders" in line and "planned" in line]) == 1


def test_yaml(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``--output yaml`` has the same values as ``--output json``, of which ``--json`` is the short form."""
    for name, arguments in (("diff", ["--table", "orders"]), ("list", ["--sizes"]), ("doctor", ["--table", "orders"])):
        found = []
        for form in (["--output", "yaml"], ["--output", "json"], ["--json"]):
            command(name, *arguments, *form)
            text = capsys.readouterr().out
            found.append(_without_measures(yaml.safe_load(text) if "yaml" in form else json.loads(text)))
        assert found[0] == found[1] == found[2]


def _without_measures(found: object) -> object:
    """Return values without those that differ in each run."""
    if isinstance(found, list):
        return [_without_measures(entry) for entry in found]
    if isinstance(found, dict):
        return {name: value for name, value in found.items() if name not in ("seconds", "bytes_received", "bytes_sent")}
    return found


def test_plain_output_on_a_terminal(site: Site) -> None:
    """``--output plain`` is the text of a pipe, on a terminal too."""
    shown = on_a_terminal("list", "--output", "plain", folder=site.folder)
    assert ESCAPE not in shown.text
    assert "name       rows (about)  key" in shown.text


def test_quiet(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``--quiet`` shows only errors; the work, the exit code and printed data are the same."""
    assert command("diff", "--quiet") == 1
    assert command("run", "--quiet") == 0
    assert command("clean", "--quiet") == 0
    assert command("check", "--quiet", "--connect") == 0
    assert capsys.readouterr() == ("", "")
    assert len(site.rows("orders")) == 3
    execute(site.target, "DROP TABLE orders")
    assert command("run", "--quiet") == 3
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert "There is no table 'orders'" in printed.err
    assert command("check", "--quiet", "--connect") == 3
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()[1:]] == [["FAILED", "table", "orders"]]
    assert command("run", "-q", "--json", "--table", "customers") == 0
    assert list(reports(capsys.readouterr().out)) == ["customers"]


def test_a_quiet_terminal(site: Site) -> None:
    """On a terminal, ``--quiet`` draws no progress, and errors have their reasons, because no table shows them."""
    assert on_a_terminal("run", "--quiet", folder=site.folder) == (0, "")
    execute(site.target, "DROP TABLE orders")
    assert "There is no table 'orders'" in on_a_terminal("run", "--quiet", folder=site.folder).text


def test_columns_are_as_wide_as_their_cells() -> None:
    """In a pipe, the width of a table is not limited."""
    stream = io.StringIO()
    Output(stream).show([TextTable(("a", "b"), [("x" * 300, "y")])])
    assert stream.getvalue().splitlines()[1] == f"{'x' * 300}  y"
