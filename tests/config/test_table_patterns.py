"""Patterns of table names: what they match, which options hold, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sync.config import ClientConfig, ServerConfig, TargetTable
from airflow_provider_sync.config.table_patterns import entry_for, is_excluded, matches, translated
from airflow_provider_sync.config.yaml_file import load_yaml
from airflow_provider_sync.exceptions import ConfigurationError

URL = {"url": "http://source.example", "connections": {"local": "sqlite://"}}


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "orders", True),
        ("*", "shop.orders", True),
        ("shop.*", "shop.orders", True),
        ("shop.*", "shopping", False),
        ("tmp_?", "tmp_1", True),
        ("tmp_?", "tmp_12", False),
        ("Orders*", "orders", False),
        ("a[1]*", "a[1]b", True),
        ("*", "two\nlines", True),
        ("*_Ö", "x_Ö", True),
    ],
)
def test_matches(pattern: str, name: str, expected: bool) -> None:
    """A star matches any characters, a question mark one, other characters only themselves, and case matters."""
    assert matches(pattern, name) is expected


def test_names_are_translated() -> None:
    """The text that the wildcards of one pattern match replaces the wildcards of the other."""
    assert translated("shop.orders", "shop.*", "public.*") == "public.orders"
    assert translated("a_1_b", "*_?_*", "*-?-*") == "a-1-b"
    assert translated("a_b_c", "*_*", "*.*") == "a_b.c"
    assert translated("crm.orders", "shop.*", "public.*") is None


@pytest.mark.parametrize(
    ("pattern", "repeated", "end"),
    [("*a*a*a*a*b", "a", "c"), ("*_a*_b", "_a", ""), ("b*a?a*?a*", "a", "b"), ("**a**a**b", "ab", "c")],
)
@pytest.mark.timeout(10)
def test_hostile_names_take_no_time(pattern: str, repeated: str, end: str) -> None:
    """A name that nearly matches in many ways is refused quickly, at any length."""
    assert not matches(pattern, repeated * 1_000_000 + end)


def test_excluded_with_and_without_a_schema() -> None:
    """An excluded name is left out in every schema, unless it names one."""
    assert is_excluded("tmp_1", ["tmp_*"])
    assert is_excluded("shop.tmp_1", ["tmp_*"])
    assert is_excluded("shop.tmp_1", ["shop.tmp_1"])
    assert not is_excluded("tmp_1", ["shop.tmp_*"])


def test_which_entry_decides() -> None:
    """A table's own entry has its options, or else the first pattern that matches and does not exclude it."""
    config = ClientConfig.from_dict({**URL, "tables": {"*": {"exclude": ["log_*"]}, "orders": {}, "log_?": {}, "l*": {}}})
    decided = {name: entry_for(name, config.tables) for name in ("orders", "items", "log_1", "log_10", "log_?")}
    assert {name: entry and entry.name for name, entry in decided.items()} == {
        "orders": "orders",
        "items": "*",
        "log_1": "log_?",
        "log_10": "l*",
        "log_?": "log_?",
    }


def test_options_of_a_matched_table() -> None:
    """A table that a pattern matches has the pattern's options, and the target name from its `table`."""
    config = ClientConfig.from_dict({**URL, "tables": {"shop.*": {"table": "copy_*", "max_deletes": 7, "exclude": ["x"]}}})
    table = config.tables["shop.*"].named("shop.orders")
    assert table == TargetTable(name="shop.orders", table="copy_orders", max_deletes=7)


@pytest.mark.parametrize("tables", ["*", ["*"], {"*": None}])
def test_patterns_alone(tables: Any) -> None:
    """Patterns without options may be a text or in a list, at both halves."""
    assert list(ClientConfig.from_dict({**URL, "tables": tables}).tables) == ["*"]
    assert list(ServerConfig.from_dict({"connections": {"a": "sqlite://"}, "tables": tables}).tables) == ["*"]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"orders": {"exclude": ["tmp_*"]}}, "'orders': exclude needs a pattern such as '*'"),
        ({"shop.*": {"table": "orders"}}, "'shop.*': table is 'orders'. Give it the wildcards of the pattern"),
        ({"*": {"exclude": "tmp_*"}}, "'*': exclude must be a list, not text"),
        (["orders"], "tables must be a mapping of names to options, not a list"),
        ("orders", "tables must be a mapping of names to options, not the text 'orders'"),
        ([{"orders": {}}], "tables must be a mapping of names to options, not a list"),
    ],
)
def test_refused(tables: Any, message: str) -> None:
    """Invalid patterns are refused when the options are read, and the error names the entry and the option."""
    with pytest.raises(ConfigurationError) as caught:
        ClientConfig.from_dict({**URL, "tables": tables})
    assert message in str(caught.value)


def test_a_server_looks_in_one_schema() -> None:
    """A server's pattern names the schema of its tables."""
    with pytest.raises(ConfigurationError, match=r"'\*\.orders' has wildcards in the schema's name"):
        ServerConfig.from_dict({"connections": {"a": "sqlite://"}, "tables": {"*.orders": {}}})


def test_tokens_name_what_may_be_offered() -> None:
    """A token may name patterns, and tables that a pattern may match; other names are refused."""

    def read(tables: Any, token: list[str]) -> ServerConfig:
        tokens = [{"token": "t", "tables": token}]
        return ServerConfig.from_dict({"connections": {"a": "sqlite://"}, "tables": tables, "tokens": tokens})

    read({"shop.*": {"exclude": ["tmp_*"]}, "items": {}}, ["shop.orders", "shop.o*", "i*"])
    for wrong in ("orders", "shop.tmp_1"):
        with pytest.raises(ConfigurationError, match=f"A token names '{wrong}', which is not under tables"):
            read({"shop.*": {"exclude": ["tmp_*"]}}, [wrong])
    with pytest.raises(ConfigurationError, match=r"A token names 'o\*'"):
        read({"items": {}}, ["o*"])


@pytest.mark.parametrize("text", ["tables: *", "tables:\n  *: {}"])
def test_a_bare_star_is_no_pattern(text: str) -> None:
    """A star without quotes is a YAML error whose message says what to write."""
    with pytest.raises(ConfigurationError, match=r"Write a pattern such as '\*' in quotes"):
        load_yaml(text, "client.yaml")
