"""Configurations: what is read, and what is refused before anything happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.config import (
    ClientConfig,
    DeleteLimit,
    ServerConfig,
    TargetTable,
    Token,
    connection_url,
    directory_from_options,
    table_from_options,
)
from airflow_provider_sync.exceptions import ConfigurationError

URL = {"url": "http://source.example"}


@pytest.mark.parametrize(
    ("limit", "deletes", "of", "allowed"),
    [
        ("50%", 100, 100, True),
        ("50%", 101, 202, True),
        ("50%", 102, 202, False),
        ("100%", 1000, 1000, True),
        ("0%", 100, 100, True),
        ("0%", 101, 1000, False),
        (0, 1, 1000, False),
        ("0", 0, 0, True),
        (5, 5, 5, True),
        (5, 6, 6000, False),
        (" 12.5 % ", 125, 1000, True),
    ],
)
def test_limits_of_deletions(limit: str | int, deletes: int, of: int, allowed: bool) -> None:
    """A share limits deletes above 100; a number always does."""
    assert DeleteLimit.parse(limit).allows(deletes, of=of) is allowed


@pytest.mark.parametrize("value", ["", "half", "101%", "-1", "1.5", "1e3", "50%%", None])
def test_limits_that_are_none(value: Any) -> None:
    """A value that is not a limit is refused with that value."""
    with pytest.raises(ConfigurationError, match="max_deletes is"):
        DeleteLimit.parse(value)
    with pytest.raises(ConfigurationError, match="max_deletes"):
        table_from_options("orders", {"max_deletes": value})


def test_text_that_templates_render_to(tmp_path: Path) -> None:
    """Numbers and switches may be text."""
    table = table_from_options("orders", {"max_deletes": "7", "allow_empty_source": "true", "verify": "false"})
    assert (table.max_deletes, table.allow_empty_source, table.verify) == ("7", True, False)
    directory = directory_from_options("d", {"path": str(tmp_path), "files_per_request": "5"})
    assert directory.files_per_request == 5


@pytest.mark.parametrize("options", [{"delete": False}, {"exclude": ["y/**"]}, {"include": ["*.jpg"]}])
def test_directories_that_share_a_folder(options: dict[str, Any]) -> None:
    """A directory may be inside another one that does not delete unknown files."""
    directories = {"a": {"path": "/srv/x", **options}, "b": {"path": "/srv/x/y"}, "c": {"path": "/srv/xy"}}
    assert set(ClientConfig.from_dict({**URL, "directories": directories}).directories) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "url"),
        ({**URL, "tabels": {}}, "tabels"),
        ({**URL, "tables": ["orders"]}, "tables must be a mapping"),
        ({**URL, "tables": {"orders": "all"}}, "'orders': its options must be a mapping"),
        ({**URL, "tables": {"orders": {"primry": "id"}}}, "'orders'.*primry"),
        ({**URL, "tables": {"orders": {}}}, "'orders' has no connection"),
        ({**URL, "tables": {"orders": {"connection": "shop"}}}, "names the connection 'shop'"),
        ({**URL, "tables": {"orders": {"connection": "sqlite://", "columns": "id"}}}, "'orders'.*columns"),
        ({**URL, "tables": {"orders": {"connection": "sqlite://", "renames": {"a": "x", "b": "x"}}}}, "'orders'.*one name"),
        ({**URL, "directories": {"images": {}}}, "'images'.*path"),
        ({**URL, "directories": {"a": {"path": "/srv/x"}, "b": {"path": "/srv/x/"}}}, "goes into the folder of .*outside /srv/x"),
        ({**URL, "directories": {"a": {"path": "/srv/x"}, "b": {"path": "/srv/x/y"}}}, "'b' goes into the folder of 'a'"),
        ({**URL, "directories": {"b": {"path": "s3://x/y"}, "a": {"path": "s3://x"}}}, "'b' goes into the folder of 'a'"),
        ({**URL, "directories": {"images": {"path": "x", "files_per_request": 0}}}, "'images'.*files_per_request is 0"),
        ({**URL, "directories": {"images": {"path": "x", "bytes_per_request": -1}}}, "'images'.*bytes_per_request is -1"),
        ({**URL, "protocol": 3}, "protocol is 3"),
        ({**URL, "retries": -1}, "retries is -1"),
        ({**URL, "timeout": 0}, "timeout is 0"),
        ({**URL, "files_per_request": 0}, "files_per_request is 0"),
        ({**URL, "single_transaction": "perhaps"}, "single_transaction"),
    ],
)
def test_wrong_client_settings(settings: dict[str, Any], message: str) -> None:
    """Unusable settings of a client are refused when the configuration is built, by the option's name."""
    with pytest.raises(ConfigurationError, match=message):
        ClientConfig.from_dict(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokens": [""]}, "token is empty"),
        ({"tokens": "abc"}, "tokens must be a list"),
        ({"tokens": {"token": "abc"}}, "tokens must be a list"),
        ({"tokens": [{"token": "x", "table": ["a"]}]}, "table"),
        ({"tokens": [{"token": "x", "tables": ["a"]}]}, "A token names 'a', which is not under tables. There are: none."),
        (
            {"tokens": [{"token": "x", "directories": ["b"]}], "directories": {"a": {"path": "a"}}},
            "A token names 'b', which is not under directories. There are: a.",
        ),
        ({"tokens": [{"token": "x", "tables": {"a": "b"}}]}, "A token names 'b', which is not under tables. There are: none."),
        ({"tokens": [{"token": "x", "where": {"a": "b = 1"}}]}, "A token names 'a', which is not under tables. There are: none."),
        ({"tables": {"orders": {}}}, "'orders' has no connection"),
        ({"tables": {"orders": {"connection": "sqlite://", "renames": {}}}}, "'orders'.*renames"),
        ({"directories": {"images": None}}, "'images'.*path"),
    ],
)
def test_wrong_server_settings(settings: dict[str, Any], message: str) -> None:
    """Unusable settings of a server are refused when the configuration is built, by the option's name."""
    with pytest.raises(ConfigurationError, match=message):
        ServerConfig.from_dict(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "'url' is missing. Give it a value."),
        ({**URL, "retries": "many"}, "retries must be a whole number, not text."),
        ({**URL, "token": 7}, "token must be text, not a whole number."),
        ({**URL, "headers": ["a"]}, "headers must be a mapping, not a list."),
        ({**URL, "tables": ["orders"]}, "tables must be a mapping of names to options, not a list."),
        ({**URL, "tables": {"orders": "fast"}}, "'orders': its options must be a mapping, not the text 'fast'."),
        ({**URL, "directories": {"images": 7}}, "'images': its options must be a mapping, not the number 7."),
        ({**URL, "directories": {"images": True}}, "'images': its options must be a mapping, not true."),
        ({**URL, "headers": {"a": 7}}, "headers.a must be text, not a whole number."),
        ({**URL, "tables": {"t": {"connection": "sqlite://", "columns": "id"}}}, "'t': columns must be a list, not text."),
        (
            {**URL, "tables": {"t": {"connection": "sqlite://", "primary": 7}}},
            "'t': primary must be text or a list, not a whole number.",
        ),
        ({**URL, "tables": {"t": {"connection": "sqlite://", "window": ["a"]}}}, "'t': window must be a list of 3, not of 1."),
        ({**URL, "directories": {"d": {}}}, "'d': 'path' is missing. Give it a value."),
        (
            {**URL, "directories": {"d": {"path": "x", "name": "y"}}},
            "'d': there is no option 'name': what stands before the options is the name.",
        ),
    ],
)
def test_mistakes_are_told_in_the_words_of_the_file(settings: dict[str, Any], message: str) -> None:
    """A message uses the file's words for the option, its allowed values and its value."""
    with pytest.raises(ConfigurationError) as refused:
        ClientConfig.from_dict(settings)
    assert str(refused.value) == message


def test_an_unknown_option_is_told_with_what_was_meant() -> None:
    """A mistyped option is answered with the probable one, or with all; in a list, the message names the entry."""
    with pytest.raises(ConfigurationError) as refused:
        directory_from_options("d", {"path": "x", "includes": ["*.png"]})
    assert str(refused.value) == "'d': there is no option 'includes'. Did you mean 'include'?"
    with pytest.raises(ConfigurationError) as refused:
        ServerConfig.from_dict({"tokens": ["a", {"token": "x", "table": ["a"]}]})
    assert str(refused.value) == "tokens[1]: there is no option 'table'. Did you mean 'tables'?"
    with pytest.raises(ConfigurationError) as refused:
        ServerConfig.from_dict({"tokens": ["a", {"token": "x", "zzz": ["a"]}]})
    assert (
        str(refused.value) == "tokens[1]: there is no option 'zzz'."
        " There are: token, token_sha256, name, expires, addresses, tables, directories, where."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query": "SELECT 1 AS id"}, "'t': query needs 'primary': name the columns that identify one of its rows."),
        (
            {"query": "SELECT 1 AS id", "primary": "id", "table": "t"},
            "'t': query and table are both given. Leave one of them out.",
        ),
        ({"query": " ; ", "primary": "id"}, "'t': query is empty. Write it, or leave the option out."),
        ({"where": ""}, "'t': where is empty. Write it, or leave the option out."),
        ({"where": ["a = 1", " "]}, "where is empty"),
        ({"where": {"a": 1}}, "where must be text or a list, not a mapping."),
        (
            {"where": "a = 1", "hasher": "my.Hasher"},
            "hasher reads the table itself, without query, where and mask. Leave it out.",
        ),
        ({"mask": {"a": "redact"}, "hasher": "my.Hasher"}, "hasher reads the table itself"),
        ({"mask": {"a": " "}}, "'t': mask is empty. Write it, or leave the option out."),
        ({"mask": ["a"]}, "'t': mask must be a mapping, not a list."),
        ({"mask": {"a": "hash"}}, "Table 't' hashes columns with mask, which needs a secret. Set mask_key for the server"),
    ],
)
def test_wrong_views_and_queries(options: dict[str, Any], message: str) -> None:
    """A query or a condition that cannot be used is refused before anything is opened."""
    with pytest.raises(ConfigurationError) as refused:
        ServerConfig.from_dict({"connections": {"a": "sqlite:///a.db"}, "tables": {"t": options}})
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tables": {"t": "*"}}, "A token names the pattern '*' where only the name of one table is possible. Name the table."),
        ({"where": {"*": "a = 1"}}, "A token names the pattern '*'"),
        ({"where": {"t": ""}}, "where is empty"),
        ({"tables": ["u"], "where": {"t": "a = 1"}}, "A token has a where for 't', which is not under its tables. Add it there."),
        ({"tables": {"x": "t"}, "where": {"t": "a = 1"}}, "A token has a where for 't', which is not under its tables."),
        ({"where": {"h": "a = 1"}}, "A token has a where for 'h', whose hasher reads the whole table. Leave hasher out"),
        ({"tables": {"t": "h"}, "where": {"t": "a = 1"}}, "A token has a where for 't', whose hasher reads the whole table."),
    ],
)
def test_wrong_rows_of_tokens(options: dict[str, Any], message: str) -> None:
    """A token with invalid tables or conditions is refused before the server starts."""
    tables = {"t": {}, "u": {}, "h": {"hasher": "my.Hasher"}}
    with pytest.raises(ConfigurationError) as refused:
        ServerConfig.from_dict({"connections": {"a": "sqlite:///a.db"}, "tables": tables, "tokens": [{"token": "x", **options}]})
    assert message in str(refused.value)


def test_key_of_masks() -> None:
    """The key of hashes is required for a hashed column, and never shown; ``null`` without quotes is a mask, too."""
    settings = {"connections": {"a": "sqlite:///a.db"}, "tables": {"t": {"mask": {"a": None, "b": "hash"}}}, "mask_key": "s3cret"}
    config = ServerConfig.from_dict(settings)
    assert config.tables["t"].mask == {"a": "null", "b": "hash"}
    assert "s3cret" not in f"{config!r} {config}"
    with pytest.raises(ConfigurationError, match="mask_key is empty"):
        ServerConfig.from_dict(settings | {"mask_key": " "})


def test_semicolon_of_a_query() -> None:
    """A semicolon at the end of SQL is removed."""
    tables = {"t": {"query": "SELECT 1 AS id ;\n", "primary": "id", "where": ["id = 1;"]}}
    table = ServerConfig.from_dict({"connections": {"a": "sqlite:///a.db"}, "tables": tables}).tables["t"]
    assert (table.query, table.conditions) == ("SELECT 1 AS id", ("id = 1",))


def test_connections() -> None:
    """A table's connection is its own, by name or URL, else the default, else the only one."""
    connections = {"a": "sqlite:///a.db", "b": "sqlite:///b.db"}
    assert connection_url(connections, None, TargetTable(name="t", connection="b")) == "sqlite:///b.db"
    assert connection_url(connections, None, TargetTable(name="t", connection="sqlite:///c.db")) == "sqlite:///c.db"
    assert connection_url(connections, "a", TargetTable(name="t")) == "sqlite:///a.db"
    assert connection_url({"a": "sqlite:///a.db"}, None, TargetTable(name="t")) == "sqlite:///a.db"


def test_variables_are_replaced_after_parsing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable's value is always text; keys and plain dollars do not change."""
    monkeypatch.setenv("SECRET", "yes: [x] # ${HOME}")
    path = tmp_path / "client.yaml"
    path.write_text('url: http://x\ntoken: "a ${SECRET} $HOME"\nheaders: {"${SECRET}": "${SECRET}"}\n')
    config = ClientConfig.from_yaml(path)
    assert config.token == "a yes: [x] # ${HOME} $HOME"
    assert config.headers == {"${SECRET}": "yes: [x] # ${HOME}"}


def test_secrets_are_not_shown() -> None:
    """A printed configuration shows neither tokens nor passwords."""
    client = ClientConfig.from_dict({**URL, "token": "hidden", "password": "hidden", "connections": {"a": "x://hidden"}})
    server = ServerConfig.from_dict(
        {"tokens": ["hidden", {"token": "hidden too"}], "connections": {"a": "mysql://u:hidden@h/d"}, "mask_key": "hidden" * 6}
    )
    table = TargetTable(name="t", connection="mysql://u:hidden@h/d")
    for value in (client, server, table, Token(token="hidden")):
        assert "hidden" not in f"{value} {value!r}"


def test_limits_of_a_client() -> None:
    """Limits of time and size are checked, globally and for a table or directory; an unknown one is named."""
    settings = {"url": "https://host", "max_seconds": "60", "limits": {"max_files": "7"}, "connections": {"c": "sqlite://"}}
    config = ClientConfig.from_dict({**settings, "tables": {"t": {"max_seconds": 5}}})
    assert (config.max_seconds, config.limits.max_files, config.tables["t"].max_seconds) == (60, 7, 5)
    # A table that takes two hours to digest is legitimate work.
    assert 2 * 3600 < config.max_silence < ClientConfig.from_dict(URL).max_seconds
    for wrong, message in (
        ({"max_silence": 0}, "max_silence is 0"),
        ({"timeout": float("inf")}, "timeout is inf. Give a number"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"max_seconds": -1}, "max_seconds is -1"),
        ({"tables": {"t": {"max_seconds": 0}}}, "'t': max_seconds is 0"),
        ({"directories": {"d": {"path": "d", "max_seconds": 0}}}, "'d': max_seconds is 0"),
        ({"limits": {"max_rows": 0}}, "limits.max_rows is 0"),
        ({"limits": {"rows": 1}}, "limits: there is no option 'rows'"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            ClientConfig.from_dict({**settings, **wrong})
