"""``init``: first configuration files, which can be used as they are."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import make_url

from airflow_provider_sync.cli.config_text import client_text, hide_secrets, server_text
from airflow_provider_sync.cli.main import main
from airflow_provider_sync.config import ClientConfig, ServerConfig
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.cli.site import Site, execute
from tests.client.scripted_server import reply, scripted_server
from tests.engines import on_engines
from tests.hostile_urls import HOSTILE_URLS
from tests.server.tables.served_tables import execute as execute_at


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write files where nobody misses them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNC_TOKEN", "the-token")


def test_both_files_can_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The server.yaml of ``init`` can be served, and its client.yaml syncs everything into an empty database."""
    site = Site(tmp_path)
    site.server_config.unlink()
    execute(site.source, "CREATE TABLE keyless (a TEXT)", 'CREATE VIEW "big orders" AS SELECT id, name AS "the name" FROM orders')
    assert main(["init", "--from", f"sqlite:///{site.source}"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Wrote server.yaml.\nSet SYNC_TOKEN in the environment")
    assert main(["check", "--config", "server.yaml", "--connect"]) == 0
    config = ServerConfig.from_yaml("server.yaml")
    assert (list(config.connections), list(config.tables)) == (["source"], ["customers", "orders"])
    text = Path("server.yaml").read_text()
    assert "# keyless: {}  # Table 'keyless' has no primary key. Name the columns" in text
    offered = text.replace('# "big orders": {primary: [id, "the name"]}', '"big orders": {primary: [id]}')
    assert offered != text
    Path("server.yaml").write_text(offered)
    assert main(["check", "--config", "server.yaml", "--connect"]) == 0
    config = ServerConfig.from_yaml("server.yaml")
    assert list(config.tables) == ["customers", "orders", "big orders"]
    with RunningServer(config) as server:
        assert main(["init", "--client", server.url, "--to", f"sqlite:///{tmp_path}/copy.db"]) == 0
        assert main(["check", "--config", "client.yaml"]) == 0
        assert main(["run", "--config", "client.yaml"]) == 0
    site.target = tmp_path / "copy.db"
    assert site.rows("orders") == [(1, "one"), (2, "zwei"), (3, "三")]


def test_tables_that_the_server_cannot_send(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An offered table that cannot be synced is a comment with the server's reason, so the others can be synced."""
    site = Site(tmp_path)
    execute(site.source, "CREATE TABLE keyless (a TEXT)")
    with RunningServer(ServerConfig.from_dict({**site.server_settings, "tables": "*", "tokens": ["the-token"]})) as server:
        assert main(["init", "--client", server.url, "--to", f"sqlite:///{tmp_path}/copy.db"]) == 0
        assert list(ClientConfig.from_yaml("client.yaml").tables) == ["customers", "orders"]
        assert main(["run", "--table", "orders"]) == 0
    assert (
        "  # keyless: {create_table: true}  # The server refused the request for table 'keyless'"
        in Path("client.yaml").read_text()
    )


def test_nothing_but_views(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For a database without tables, the views are listed; an unreadable one has the reason."""
    execute(
        tmp_path / "x.db",
        "CREATE TABLE gone (id INTEGER)",
        "CREATE VIEW broken AS SELECT * FROM gone",
        "CREATE VIEW numbers AS SELECT 1 AS n",
        "DROP TABLE gone",
    )
    assert main(["init", "--from", f"sqlite:///{tmp_path}/x.db"]) == 0
    text = Path("server.yaml").read_text()
    assert "# broken: {}  # " in text
    Path("server.yaml").write_text(text.replace("# numbers", "numbers"))
    assert list(ServerConfig.from_yaml("server.yaml").tables) == ["numbers"]


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For a mistyped database path, neither a configuration nor an empty database is created."""
    assert main(["init", "--from", f"sqlite:///{tmp_path}/x.db"]) == 2
    assert f"There is no file {tmp_path}/x.db. Is the path of the connection right?" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_directories_and_a_target_to_be_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Directories go below the current folder by default; a missing target is a variable."""
    site = Site(tmp_path)
    with RunningServer(ServerConfig.from_dict({**site.server_settings, "tokens": ["the-token"]})) as server:
        assert main(["init", "--client", server.url, "--config", "new.yaml"]) == 0
    settings = yaml.safe_load(Path("new.yaml").read_text())
    assert settings["directories"] == {"images": {"path": str(tmp_path / "images")}}
    assert (settings["token"], settings["connections"]) == ("${SYNC_TOKEN}", {"local": "${TARGET_URL}"})
    assert "Set TARGET_URL in the environment" in capsys.readouterr().out


def test_each_directory_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """For any names of directories, each gets its own folder below the current one."""
    Site(tmp_path)
    names = ["", ".", "..", "a/b", "a_b", "../a", "${HOME}", "x" * 300, "x" * 301, "日" * 90, "images"]
    with scripted_server() as server:
        server.answer(reply(200, json.dumps({"protocol": 2, "directories": names}).encode()))
        assert main(["init", "--client", server.url, "--config", "new.yaml"]) == 0
    kept = {name: Path(entry["path"]) for name, entry in yaml.safe_load(Path("new.yaml").read_text())["directories"].items()}
    assert [*kept] == names
    assert len(set(kept.values())) == len(names)
    assert {path.parent for path in kept.values()} == {tmp_path}
    assert all(re.fullmatch(r"[\w-][\w.-]*", path.name) and len(path.name.encode()) < 256 for path in kept.values())
    assert kept["images"] == tmp_path / "images"


def test_directories_alone_need_no_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If the server offers no tables, the file can be used as it is."""
    site = Site(tmp_path)
    offered = {"directories": site.server_settings["directories"], "tokens": ["the-token"]}
    with RunningServer(ServerConfig.from_dict(offered)) as server:
        assert main(["init", "--client", server.url, "--config", "new.yaml"]) == 0
        assert "Set " not in capsys.readouterr().out
        assert "connections" not in yaml.safe_load(Path("new.yaml").read_text())
        assert main(["run", "--config", "new.yaml", "--json"]) == 0


def test_a_file_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file is replaced only with ``--force``, and stays if a new one cannot be written."""
    site = Site(tmp_path)
    database, path = f"sqlite:///{site.source}", tmp_path / "server.yaml"
    path.write_text("mine")
    assert main(["init", "--from", database]) == 2
    assert "server.yaml exists already. Name another file with --config, or replace it with --force." in capsys.readouterr().err
    assert main(["init", "--from", f"sqlite:///{tmp_path}/absent/x.db", "--force"]) == 2
    assert path.read_text() == "mine"
    assert main(["init", "--from", database, "--force"]) == 0
    assert list(ServerConfig.from_yaml(path).tables) == ["customers", "orders"]
    assert [file.name for file in tmp_path.iterdir() if file.name.endswith(".tmp")] == []


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The file is written also where there are no hard links, but not in place of one that appears meanwhile."""

    def link(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    arguments = ["init", "--from", f"sqlite:///{Site(tmp_path).source}", "--config", "new.yaml"]
    assert main(arguments) == 0
    assert list(ServerConfig.from_yaml("new.yaml").tables) == ["customers", "orders"]
    written = Path("new.yaml").read_text()
    monkeypatch.setattr("airflow_provider_sync.cli.init.is_there", lambda _: False)
    assert main(arguments) == 2
    assert Path("new.yaml").read_text() == written
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("options", [[], ["--force"]])
@pytest.mark.parametrize("method", ["write", "replace"])
def test_a_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, options: list[str]) -> None:
    """If the text cannot be written or named, nothing is left of it, and a file that is to be replaced stays."""
    arguments = ["init", "--from", f"sqlite:///{Site(tmp_path).source}", "--config", "new.yaml", *options]
    if options:
        Path("new.yaml").write_text("mine")
    before = sorted(path.name for path in tmp_path.iterdir())

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    def full(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        file = open_file(path, mode, *arguments, **options)
        if mode == "x":
            file.write = fail
        return file

    open_file = Path.open
    monkeypatch.setattr(Path, *(("open", full) if method == "write" else ("replace", fail)))
    assert main(arguments) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert not options or Path("new.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Say what to make"),
        (["--from", "sqlite://", "--client", "http://x"], 2, "Say what to make"),
        (["--from", "sqlite://", "--to", "sqlite://"], 2, "--to is the target of a client.yaml"),
        (["--from", "sqlite://", "--verify", "ca.pem"], 2, "--verify is about the server of a client.yaml"),
        (["--client", "https://x", "--key", "client.key"], 2, "certificate"),
        (["--from", "sqlite:///${NOT_THERE}"], 2, "The environment variable NOT_THERE is not set"),
        (["--from", "sqlite:///empty.db"], 3, "has no tables or views that its user may read"),
        (["--from", "sqlite:///source.db", "--config", "absent/server.yaml"], 2, "Cannot write absent/server.yaml"),
    ],
)
def test_refused(tmp_path: Path, arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong arguments are refused, and nothing is written."""
    Site(tmp_path)
    (tmp_path / "server.yaml").unlink()
    (tmp_path / "empty.db").touch()
    assert main(["init", *arguments]) == code
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.yaml"))


def test_a_server_of_version_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A server of version 1 cannot say what it offers, so no file is written."""
    with RunningServer(ServerConfig.from_dict(Site(tmp_path).server_settings)) as server:
        assert main(["init", "--client", f"{server.url}/elsewhere"]) == 2
    assert "cannot say what it offers" in capsys.readouterr().err
    assert not (tmp_path / "client.yaml").exists()


def test_passwords_are_not_written(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On every engine, the password of the URL is a variable of the file, with which the file can be used."""
    execute_at(database_url, "CREATE TABLE t (id INT NOT NULL PRIMARY KEY)")
    assert main(["init", "--from", database_url]) == 0
    written, printed = Path("server.yaml").read_text(), capsys.readouterr().out
    password = make_url(database_url).password
    assert not password or f":{password}@" not in written + printed
    monkeypatch.setenv("DB_PASSWORD", str(password))
    config = ServerConfig.from_yaml("server.yaml")
    assert (list(config.connections.values()), list(config.tables)) == ([database_url], ["t"])


def test_a_password_with_a_question_mark_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A password that SQLAlchemy reads up to the @ reaches no file and no output, whatever other characters it has."""
    config = tmp_path / "client.yaml"
    with RunningServer(ServerConfig.from_dict(Site(tmp_path).server_settings)) as server:
        database = "postgresql://me:opening?sesame/1@db/shop"
        assert main(["init", "--client", server.url, "--to", database, "--config", str(config)]) == 0
    printed = capsys.readouterr()
    assert '"postgresql://me:${DB_PASSWORD}@db/shop"' in config.read_text()
    assert not re.search("opening|sesame", config.read_text() + printed.out + printed.err)


@on_engines("postgresql")
def test_a_connection_is_not_named_after_a_password(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A connection has the name of its database, although the password has characters that separate parts of a URL."""
    url = make_url(database_url)
    role = f"{url.database}_reader"
    execute_at(
        database_url,
        "CREATE TABLE t (id INT NOT NULL PRIMARY KEY)",
        f"CREATE ROLE {role} LOGIN PASSWORD 'opening?a=b&c/sesame'",
        f"GRANT SELECT ON t TO {role}",
    )
    try:
        written = f"postgresql://{role}:opening?a=b&c/sesame@{url.host}:{url.port}/{url.database}"
        assert main(["init", "--from", written]) == 0
    finally:
        execute_at(database_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")
    text = Path("server.yaml").read_text()
    assert f"  {url.database}: " in text
    assert not re.search("opening|sesame", text + capsys.readouterr().out)


@pytest.mark.parametrize(
    ("url", "hidden", "names"),
    [
        ("mysql://me:se%40cret@db/shop", "mysql://me:${DB_PASSWORD}@db/shop", ["DB_PASSWORD"]),
        (
            "mysql://me:a@b@db/shop?ssl_key=x&key=y",
            "mysql://me:${DB_PASSWORD}@db/shop?ssl_key=x&key=${DB_KEY}",
            ["DB_PASSWORD", "DB_KEY"],
        ),
        ("mysql://me:a?b/c&d=e@db/shop?x=1", "mysql://me:${DB_PASSWORD}@db/shop?x=1", ["DB_PASSWORD"]),
        ("mysql://me:${MINE}@db/shop", "mysql://me:${MINE}@db/shop", []),
        ("postgresql://db/shop?user=a&password=b", "postgresql://db/shop?user=a&password=${DB_PASSWORD}", ["DB_PASSWORD"]),
        ("postgresql://me@db:5432/shop", "postgresql://me@db:5432/shop", []),
        ("sqlite:////home/me@work/x.db", "sqlite:////home/me@work/x.db", []),
        ("airflow://warehouse", "airflow://warehouse", []),
    ],
)
def test_secrets_of_urls(url: str, hidden: str, names: list[str]) -> None:
    """Passwords and parameters that look like one become variables; everything else stays."""
    assert hide_secrets(url, "DB") == (hidden, dict.fromkeys(names, ANY))


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_secrets_that_are_hard_to_find(url: str) -> None:
    """A URL with any secret is the same again once its variables are replaced, and shows none of it before."""
    hidden = hide_secrets(url, "DB")
    assert re.search("tulip|garden", hidden.url) is None
    assert re.sub(r"\$\{(\w+)\}", lambda variable: hidden.secrets[variable[1]], hidden.url) == url


class _Any:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, str)

    __hash__ = None  # type: ignore[assignment]  # it equals everything


ANY = _Any()


def test_names_of_all_kinds() -> None:
    """With any names of tables and columns and any messages, the files are correct, and comments stay comments."""
    names = ["plain", "null", "1", "we ird: é#", 'quo"te', "a\nb", "- x", "*", "\u2028", "${X}", "日本"]
    config = yaml.safe_load(server_text("c d", "sqlite://", {**dict.fromkeys(names), "bad\n": "because\nof: this"}))
    assert list(config["tables"]) == names
    assert config["connections"] == {"c d": "sqlite://"}
    text = client_text(
        "http://x", has_token=False, tls={}, database="sqlite://", tables=dict.fromkeys(names), directories={"a b": "/x: y"}
    )
    settings = yaml.safe_load(text)
    assert list(ClientConfig.from_dict(settings).tables) == [name for name in names if name != "*"]
    assert settings["directories"] == {"a b": {"path": "/x: y"}}
    assert yaml.safe_load(client_text("http://x", has_token=True, tls={}, database="", tables={}, directories={}))["tables"] == {}
