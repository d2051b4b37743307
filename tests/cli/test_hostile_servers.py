"""``run`` against servers that answer anything: a report for each table and directory, one line of error, nothing written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from airflow_provider_sync.cli.main import main
from tests.cli.site import Site, reports
from tests.client.scripted_server import head, reply, scripted_server

NAMES = ("orders", "customers", "images")
CHUNKED = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
ANSWERS = {
    "a negative chunk": head(200, CHUNKED) + b"-5\r\nhello\r\n0\r\n\r\n",
    "a redirect to nowhere": head(302, {"Location": "http://["}),
    "a pause with a control character": head(503, {"Retry-After": "1\x1f"}),
    "two lengths": head(200, {**CHUNKED, "Content-Length": "5"}) + b"5\r\nhello\r\n0\r\n\r\n",
    "escape codes": reply(500, json.dumps({"message": "\x1b[2J\x1b]0;t\x07\r\nERROR forged \u202e" + "long " * 9_000}).encode()),
    "escape codes for a field": reply(422, json.dumps({"config_name": ["\x1b[2J\nERROR forged" * 3_000]}).encode()),
    "brackets": reply(500, b"[" * 60_000),
    "no HTTP": b"\x15\x03\x01\x00\x02\x02\x46",
    "nothing": b"",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("protocol", ["auto", 1])
def test_each_table_and_directory_has_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: bytes, protocol: str | int
) -> None:
    """For any answer of the server, a run ends with 3, all reports as JSON, and one printable line on standard error."""
    site = Site(tmp_path)
    with scripted_server() as server:
        server.answer(answer)
        site.configure(server.url, protocol=protocol, timeout=5)
        assert main(["run", "--config", str(site.config), "--json"]) == 3
    printed = capsys.readouterr()
    found = reports(printed.out)
    assert {name: report["status"] for name, report in found.items()} == dict.fromkeys(
        ["orders", "customers", "images"], "failed"
    )
    assert all(report["error"].isprintable() and len(report["error"]) < 1000 for report in found.values())
    assert re.fullmatch(r"airflow-sync: [^\n]+\n", printed.err)
    assert printed.err.strip().isprintable()
    assert (site.rows("orders"), site.rows("customers"), site.files()) == ([], [], [])


@pytest.mark.parametrize("command", ["run", "run --dry-run", "diff", "list", "list --sizes", "check --connect", "doctor"])
def test_names_do_not_control_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    """Offered names stay on one line, without escape codes, in all output of a command."""
    site = Site(tmp_path)
    name = "orders\x1b[2J\nforged\u202e"
    refused = reply(422, json.dumps({"config_name": ["not\x1b[2J today"]}).encode())
    with scripted_server() as server:
        server.answer(reply(200, json.dumps({"protocol": 2, "tables": {name: []}, "directories": [name]}).encode()), refused)
        site.configure(server.url, tables={"*": {"create_table": True}}, directories={})
        first, *further = command.split()
        assert main([first, "--config", str(site.config), *further]) in (0, 1, 3)
    printed = capsys.readouterr()
    lines = [*printed.out.splitlines(), *printed.err.splitlines()]
    assert any(r"orders\x1b[2J\nforged\u202e" in line for line in lines)
    assert all(line.isprintable() and not line.startswith("forged") for line in lines)


@pytest.mark.parametrize("form", ["json", "yaml"])
@pytest.mark.parametrize("name", ["orders\x1b[2J\nforged\u202e", "gnp.\u202eexe", "a\u200bb", "a\u2066b"])
def test_names_in_data_do_not_control_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, name: str
) -> None:
    """Data has the names as they are, with each character that a terminal obeys as an escape of its format."""
    site = Site(tmp_path)
    with scripted_server() as server:
        server.answer(reply(200, json.dumps({"protocol": 2, "tables": {name: []}, "directories": ["Ä日本"]}).encode()))
        site.configure(server.url, tables={}, directories={})
        assert main(["list", "--config", str(site.config), "--output", form]) == 0
    printed = capsys.readouterr().out
    assert all(line.isprintable() for line in printed.splitlines())
    assert yaml.safe_load(printed) == {"tables": [name], "directories": ["Ä日本"]}


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 ", b"HTTP/9.9"], ids=["no HTTP", "status", "version"])
def test_tracebacks_do_not_control_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str], begun: bytes) -> None:
    """The traceback of ``--verbose`` has what a server sent without escape codes, although libraries quote it as it is."""
    site = Site(tmp_path)
    with scripted_server() as server:
        server.answer(begun + b"\x1b[2J\xc2\x9b2J\x07 stop\r\n\r\n")
        site.configure(server.url)
        assert main(["list", "--verbose", "--config", str(site.config)]) == 3
    printed = capsys.readouterr()
    assert "Traceback" in printed.err
    assert r"\x1b[2J" in printed.err
    assert all(line.isprintable() for line in printed.err.split("\n"))
