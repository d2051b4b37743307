"""``check`` finds what is wrong with a configuration, and with what it names."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from sqlalchemy import make_url

from airflow_provider_sync.cli.main import main
from airflow_provider_sync.config.json_schema import json_schema
from tests.cli.conftest import Command
from tests.cli.site import Site, execute
from tests.client.scripted_server import reply, scripted_server
from tests.databases.plain_role import plain_role
from tests.scenario import Scenario, opened
from tests.server.process.certificates import Authority


def results(output: str) -> dict[tuple[str, str], tuple[str, str]]:
    """Read what was tried, by what it is and its name: ``ok`` or ``FAILED``, and the reason."""
    rows = [line.split(maxsplit=3) for line in output.splitlines()[1:]]
    return {(what, name): (mark, message) for mark, what, name, message in rows}


def test_nothing_is_wrong(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """For a file without mistakes, ``check`` prints its kind, and the exit code is 0."""
    assert command("check") == 0
    assert main(["check", "--config", str(site.server_config)]) == 0
    client, server = capsys.readouterr().out.splitlines()
    assert client.startswith(f"{site.config}: checked as a client.yaml, no mistakes.")
    assert server.startswith(f"{site.server_config}: checked as a server.yaml, no mistakes.")


def test_all_mistakes_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each mistake is one line with file and line number on standard output; the exit code is 2, and nothing is opened."""
    path = tmp_path / "client.yaml"
    database = tmp_path / "new.db"
    path.write_text(f"url: http://x\nretries: -1\nconnections: {{a: 'sqlite:///{database}'}}\ntables:\n  t: {{colums: [a]}}\n")
    assert main(["check", "--config", str(path), "--connect"]) == 2
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == f"{path}:2: retries is -1. Give 0 or more."
    assert printed.out.splitlines()[1].startswith(f"{path}:5: 't': there is no option 'colums'. Did you mean 'columns'?")
    assert (len(printed.out.splitlines()), printed.err) == (2, "")
    assert not database.exists()


@pytest.mark.parametrize("kind", ["server", "client"])
def test_schemas(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``--schema`` prints the JSON Schema of a file."""
    assert main(["check", "--schema", kind]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema(kind)


def test_nothing_to_check(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a file and a schema the usage is wrong."""
    assert main(["check"]) == 2
    assert capsys.readouterr().err.startswith("airflow-sync: There is nothing to check. Give --config FILE")


def test_a_client_that_reaches_everything(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``--connect`` tests the server, databases, tables and directories; if all tests pass, the exit code is 0."""
    assert command("check", "--connect") == 0
    found = results(capsys.readouterr().out)
    assert {mark for mark, _ in found.values()} == {"ok"}
    assert [what for what, _ in found] == ["server", "connection", "table", "table", "directory"]
    assert found["table", "orders"][1] == "orders with 2 columns, key id"
    assert found["directory", "images"][1] == f"{site.folder / 'copies'} is missing; a run makes it"
    assert not (site.folder / "copies").exists()


def test_a_client_that_does_not(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``--connect`` names everything that fails, and why; the exit code is 3, and nothing is changed."""
    execute(site.target, "CREATE TABLE keyless (id INTEGER)", "DROP TABLE customers")
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    site.configure(
        settings["url"],
        connections={"local": f"sqlite:///{site.target}", "away": f"sqlite:///{site.folder}/missing/x.db"},
        default_connection="local",
        tables={"orders": {"table": "keyless"}, "customers": {"create_table": True}, "letters": {"table": "orders"}},
        directories={"images": {"path": str(site.target)}},
    )
    assert command("check", "--connect") == 3
    found = results(capsys.readouterr().out)
    failed = {key: message for key, (mark, message) in found.items() if mark == "FAILED"}
    assert failed.keys() == {("connection", "away"), ("table", "orders"), ("server", "letters"), ("directory", "images")}
    assert "has no primary key" in failed["table", "orders"]
    assert found["table", "customers"] == ("ok", "missing; a run makes it")
    assert site.rows("orders") == []


def test_a_schema_that_is_not_there(site: Site, command: Command, capsys: pytest.CaptureFixture[str], database_url: str) -> None:
    """A table that a run cannot create, because its schema does not exist, is found by the check, and named by the run."""
    with opened(database_url) as target:
        # A file that does not exist is not looked into.
        target.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)")
        kind = target.dialect
    server = yaml.safe_load(site.config.read_text(encoding="utf-8"))["url"]
    tables = {"orders": {"create_table": True}, "customers": {"table": "nowhere.customers", "create_table": True}}
    site.configure(server, connections={"local": database_url}, tables=tables, directories={})
    # In SQLite it is a name with a dot.
    assert command("check", "--connect") == (0 if kind == "sqlite" else 3)
    found = results(capsys.readouterr().out)
    assert found["table", "orders"] == ("ok", "missing; a run makes it")
    mark, message = found["table", "customers"]
    if kind == "sqlite":
        assert (mark, message) == ("ok", "missing; a run makes it")
        return
    assert (mark, message[:23]) == ("FAILED", "There is no such schema")
    assert command("run") == 3
    assert re.search("Table 'customers': .*nowhere.* [Cc]reate (it|the schema), or correct", capsys.readouterr().err)


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_a_database_that_is_not_there_yet(site: Site, command: Command, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    """The check does not create a file that a run creates; a table that no run would create in it fails."""
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    new = site.folder / "new.db"
    tables = {"orders": {"create_table": True}, "customers": {}}
    site.configure(settings["url"], connections={"new": f"{kind}:///{new}"}, tables=tables, directories={})
    assert command("check", "--connect") == 3
    found = results(capsys.readouterr().out)
    assert found["connection", "new"] == ("ok", f"{new} is missing; a run makes it")
    assert found["table", "orders"] == ("ok", "missing; a run makes it")
    assert found["table", "customers"][0] == "FAILED"
    assert not new.exists()


def test_a_remedy_of_several_lines(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A reason with a statement on its own line is shown on one line of the table, so that it can be copied."""
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    site.configure(settings["url"], tables={"orders": {"mode": "soft_delete"}}, directories={})
    assert command("check", "--connect") == 3
    message = results(capsys.readouterr().out)["table", "orders"][1]
    assert message.endswith('Run: ALTER TABLE "orders" ADD COLUMN "deleted_at" DATETIME;')


def test_what_the_server_does_not_offer(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that the server does not offer fails with the offered names and the one that was probably meant."""
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    site.configure(settings["url"], tables={"letters": {"table": "orders"}, "odrers": {"table": "orders"}}, directories={})
    assert command("check", "--connect") == 3
    found = results(capsys.readouterr().out)
    assert "Did you mean 'orders'? It offers: orders, customers." in found["server", "odrers"][1]
    assert found["server", "letters"] == ("FAILED", "The server does not offer it to this client. It offers: orders, customers.")
    assert found["table", "letters"][0] == "ok"


def test_a_table_that_the_server_cannot_send(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A table that is offered and cannot be synced, also one that a pattern matches, fails with the server's reason."""
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    execute(site.source, "DROP TABLE customers", "CREATE TABLE customers (id INTEGER)")
    for tables in ({"customers": {}}, {"c*": {}}):
        site.configure(settings["url"], tables=tables, directories={})
        assert command("check", "--connect") == 3
        mark, message = results(capsys.readouterr().out)["server", "customers"]
        assert mark == "FAILED"
        assert "Table 'customers' has no primary key" in message


def test_a_hasher_that_the_server_lacks(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A hasher of the server's own that cannot be made fails, because clients of version 1 would get an error."""
    config = site.folder / "server.yaml"
    config.write_text(
        f"connections: {{shop: 'sqlite:///{site.source}'}}\ntables: {{orders: {{hasher: nowhere.Hasher}}}}\n", encoding="utf-8"
    )
    assert command("check", "--connect", "--config", str(config)) == 3
    mark, message = results(capsys.readouterr().out)["table", "orders"]
    assert (mark, "'nowhere.Hasher', which cannot be made" in message) == ("FAILED", True)


def test_a_server_that_is_down(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that does not answer is one failure; databases and directories are still tested."""
    site.configure("http://127.0.0.1:9")
    assert command("check", "--connect") == 3
    found = results(capsys.readouterr().out)
    assert [what for (what, _), (mark, _) in found.items() if mark == "FAILED"] == ["server"]
    assert ("table", "orders") in found


@pytest.mark.parametrize("protocol", ["auto", 1, 2])
@pytest.mark.parametrize("answer", [reply(404), reply(200, b"<html>", kind="text/html"), reply(401)], ids=["404", "page", "401"])
def test_what_is_no_server_of_version_1(
    site: Site, command: Command, capsys: pytest.CaptureFixture[str], protocol: str | int, answer: bytes
) -> None:
    """A service that is not a sync server, or refuses the token, fails, for any configured version."""
    with scripted_server() as server:
        server.answer(answer)
        site.configure(server.url, protocol=protocol, directories={})
        assert command("check", "--connect") == 3
    found = results(capsys.readouterr().out)
    assert [what for (what, _), (mark, _) in found.items() if mark == "FAILED"] == ["server"]


def test_secrets_are_not_printed(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Credentials in URLs are neither in results nor in mistakes."""
    site.configure("http://me:hidden-word@127.0.0.1:9/sync", connections={"a": "mysql://me:hidden-word@127.0.0.1:9/shop"})
    assert command("check", "--connect") == 3
    site.configure("http://me:hidden-word@127.0.0.1:9/sync", token=["hidden-word"], connections={"a": {"hidden-word": 1}})
    assert command("check", "--connect") == 2
    printed = capsys.readouterr()
    assert "http://127.0.0.1:9/sync" in printed.out
    assert "hidden-word" not in printed.out + printed.err


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/sync?sig=hide", "http://127.0.0.1:9/sync#hide", "http://a:b/hide@127.0.0.1:9/sync"]
)
def test_a_refused_url_is_not_printed_whole(site: Site, command: Command, capsys: pytest.CaptureFixture[str], url: str) -> None:
    """Keys in the parameters of a server's URL are not printed, nor passwords with a slash, however short they are."""
    site.configure(url)
    assert command("check", "--connect") == 3
    printed = capsys.readouterr()
    assert "http://127.0.0.1:9/sync " in printed.out
    assert "hide" not in printed.out + printed.err


def test_what_a_server_names(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """For a server's file, tables, their keys and columns, directories and hashers are tested."""
    settings = {
        **site.server_settings,
        "tables": {"orders": {}, "customers": {"windows": ["created_at"]}, "letters": {}},
        "directories": {"images": {"path": str(site.folder / "images")}, "lost": {"path": str(site.folder / "lost")}},
    }
    site.server_config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert main(["check", "--config", str(site.server_config), "--connect"]) == 3
    found = results(capsys.readouterr().out)
    assert {key for key, (mark, _) in found.items() if mark == "ok"} == {
        ("connection", "source"),
        ("table", "orders"),
        ("directory", "images"),
    }
    assert "has no column 'created_at', which `windows` names" in found["table", "customers"][1]


def test_every_engine(on: Scenario, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table that cannot be used is one failure, and the others are still tested, on every engine."""
    on.execute("CREATE TABLE plants (id INT NOT NULL PRIMARY KEY, name VARCHAR(20))", "CREATE TABLE keyless (id INT)")
    path = tmp_path / "server.yaml"
    tables = {"nothing": {}, "keyless": {}, "plants": {"columns": ["id"]}, "trees": {"table": "plants", "primary": "code"}}
    url = on.database.engine.url.render_as_string(hide_password=False)
    path.write_text(yaml.safe_dump({"connections": {"here": url}, "tables": tables}), encoding="utf-8")
    assert main(["check", "--config", str(path), "--connect"]) == 3
    found = results(capsys.readouterr().out)
    assert [name for (_, name), (mark, _) in found.items() if mark == "ok"] == ["here", "plants"]
    assert "There is no table 'nothing'" in found["table", "nothing"][1]
    assert "has no primary key" in found["table", "keyless"][1]
    assert "has no column 'code', which `primary` names" in found["table", "trees"][1]


FAILING = {"sqlite": "abs(4 - id - 9223372036854775807)", "mysql": "(SELECT id FROM plants)", "postgresql": "1 / (id - 5)"}
"""What is no mistake of a query, and fails when the row with the key 5 is read."""


def test_what_fails_at_the_first_request(on: Scenario, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A source is ok only if its rows can be digested and read, so a query that the database cannot run fails."""
    mark = on.database.quote("a")[0]
    on.execute(f"CREATE TABLE plants (id INT NOT NULL PRIMARY KEY, name VARCHAR(20), {mark}50%{mark} INT)")
    on.execute("INSERT INTO plants VALUES (5, 'fir', 1), (6, 'oak', 2)")
    query = f"SELECT id, {on.pick(FAILING)} AS n FROM plants WHERE name LIKE 'f%'"
    masked = {"table": "plants", "mask": {"name": "redact"}}
    tables = {"plants": {}, "failing": {"query": query, "primary": "id"}, "masked": masked}
    url = on.database.engine.url.render_as_string(hide_password=False)
    path = tmp_path / "server.yaml"
    path.write_text(yaml.safe_dump({"connections": {"here": url}, "tables": tables}), encoding="utf-8")
    assert main(["check", "--config", str(path), "--connect"]) == 3
    found = results(capsys.readouterr().out)
    assert [name for (_, name), (mark, _) in found.items() if mark == "ok"] == ["here", "masked", "plants"]
    assert any(word in found["table", "failing"][1] for word in ("overflow", "more than 1 row", "division by zero"))


def test_a_role_that_may_describe_and_not_read(postgresql_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table that the source's user may see but not read fails, with the missing grant."""
    with plain_role(postgresql_url) as url, opened(postgresql_url) as owner:
        owner.execute("CREATE TABLE t (id INT PRIMARY KEY)", f"REVOKE SELECT ON t FROM {make_url(url).username}")
        path = tmp_path / "server.yaml"
        path.write_text(yaml.safe_dump({"connections": {"here": url}, "tables": {"t": {}}}), encoding="utf-8")
        assert main(["check", "--config", str(path), "--connect"]) == 3
    assert "permission denied for table t" in results(capsys.readouterr().out)["table", "t"][1]


def test_patterns(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Each table that a pattern matches is tested, at either half; a pattern that matches no table fails."""
    settings = {**site.server_settings, "tables": {"o*": {}, "customers": {}, "x*": {}}}
    site.server_config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert main(["check", "--config", str(site.server_config), "--connect"]) == 3
    found = results(capsys.readouterr().out)
    assert {name: mark for (what, name), (mark, _) in found.items() if what == "table"} == {
        "customers": "ok",
        "orders": "ok",
        "x*": "FAILED",
    }
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    site.configure(settings["url"], tables={"*": {"exclude": ["x"]}, "x*": {}}, directories={})
    assert command("check", "--connect") == 3
    found = results(capsys.readouterr().out)
    assert {key[1] for key, (mark, _) in found.items() if mark == "FAILED"} == {"x*"}
    assert [name for what, name in found if what == "table"] == ["orders", "customers"]
    site.configure(settings["url"], protocol=1, tables="*", directories={})
    assert command("check", "--connect") == 3
    assert "name the tables one by one, instead of *" in capsys.readouterr().out


def test_rows_of_tokens(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Each ``where`` of a token is tried; one for a name that no table of a pattern has would limit nothing, and fails."""
    tokens = [
        "all",
        {"token": "right", "name": "berlin", "where": {"orders": "id > 0"}},
        {"token": "typo", "where": {"Orders": "id > 0", "order": "id > 0"}},
        {"token": "wrong", "where": {"orders": "branch = 'Berlin'"}},
        {"token": "mapped", "tables": {"mine": "orders"}, "where": {"mine": "id > 0"}},
    ]
    settings = {**site.server_settings, "tables": {"*": {}}, "tokens": tokens}
    site.server_config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert main(["check", "--config", str(site.server_config), "--connect"]) == 3
    found = {name: result for (what, name), result in results(capsys.readouterr().out).items() if what == "token"}
    assert {name: mark for name, (mark, _) in found.items()} == {
        "berlin:orders": "ok",
        "tokens[2]:Orders": "FAILED",
        "tokens[2]:order": "FAILED",
        "tokens[3]:orders": "FAILED",
        "tokens[4]:mine": "ok",
    }
    assert "so this where limits no rows that the token sees. Did you mean 'orders'?" in found["tokens[2]:Orders"][1]
    assert "no such column: branch" in found["tokens[3]:orders"][1]


def test_the_certificate_of_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--connect`` reads the files of ``tls`` and reports until when the certificate is valid, or its error."""
    path = Authority(tmp_path).sign("server")
    config = tmp_path / "server.yaml"
    config.write_text(yaml.safe_dump({"tls": {"certificate": str(path)}}))
    assert main(["check", "--config", str(config), "--connect"]) == 0
    assert "the key belongs to it, valid until 20" in capsys.readouterr().out
    path.chmod(0o644)
    assert main(["check", "--config", str(config), "--connect"]) == 3
    assert "chmod o=" in capsys.readouterr().out


def test_a_table_that_was_probably_meant(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """For a missing table, the name of a similar one is in the result, at the target and at the source."""
    for database in (site.target, site.source):
        execute(database, "ALTER TABLE orders RENAME TO order_")
    assert command("check", "--connect") == 3
    assert main(["check", "--connect", "--config", str(site.server_config)]) == 3
    printed = capsys.readouterr().out
    assert printed.count("There is no table 'orders' in the SQLite database. Did you mean 'order_'? Name it with 'table'.") == 2
