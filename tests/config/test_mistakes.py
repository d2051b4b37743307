"""What is wrong with options is said at its place, in the words of whoever wrote them."""

from __future__ import annotations

import pickle
from datetime import date
from typing import Any

import pytest

from airflow_provider_sync.config import ClientConfig, ServerConfig
from airflow_provider_sync.config.mistakes import Mistake, WrongOptions

URL = {"url": "http://source.example"}
TABLE = {"connection": "sqlite://"}


def mistakes(kind: type[ClientConfig | ServerConfig], settings: dict[str, Any]) -> list[Mistake]:
    """Return what is wrong with settings."""
    with pytest.raises(WrongOptions) as refused:
        kind.from_dict(settings)
    return list(refused.value.mistakes)


def test_all_mistakes_are_found_at_once() -> None:
    """Each mistake has its place, also inside entries, and one message has all of them."""
    settings = {
        **URL,
        "limits": {"reqests": 1},
        "retries": "many",
        "tables": {"orders": {"columns": ["id", 7], **TABLE}, "items": {"connection": "shop"}},
        "directories": {"images": None},
    }
    found = mistakes(ClientConfig, settings)
    assert [mistake.place for mistake in found] == [
        ("limits", "reqests"),
        ("retries",),
        ("tables", "orders", "columns", 1),
        ("tables", "items"),
        ("directories", "images", "path"),
    ]
    with pytest.raises(WrongOptions) as refused:
        ClientConfig.from_dict(settings)
    assert str(refused.value) == " ".join(mistake.message for mistake in found)


@pytest.mark.parametrize(
    ("kind", "settings", "place", "message"),
    [
        (ServerConfig, {"limits": {"requests": 0}}, ("limits", "requests"), "limits.requests is 0. Give more than 0."),
        (ServerConfig, {"tabels": {}}, ("tabels",), "There is no option 'tabels'. Did you mean 'tables'?"),
        (
            ServerConfig,
            {"limits": {"reqests": 7, "requests": 7}},
            ("limits", "reqests"),
            "limits: there is no option 'reqests'. Did you mean 'requests'?",
        ),
        (
            ServerConfig,
            {"metrics": {"password": "x"}},
            ("metrics", "password"),
            "metrics: there is no option 'password'. There are: token, token_sha256.",
        ),
        (ServerConfig, {5: 7}, (5,), "the name 5 must be text. Write it in quotes."),
        (ServerConfig, {"tokens": [{5: 7}]}, ("tokens", 0, 5), "tokens[0]: the name 5 must be text. Write it in quotes."),
        (ServerConfig, {"connections": {5: "sqlite://"}}, ("connections", 5), "connections: the name 5 must be text,"),
        (ClientConfig, {**URL, "retries": 1.5}, ("retries",), "retries is 1.5. Give a whole number."),
        (ClientConfig, {**URL, "retries": True}, ("retries",), "retries must be a whole number, not true or false."),
        (ClientConfig, {**URL, "timeout": True}, ("timeout",), "timeout must be a number, not true or false."),
        (ClientConfig, {**URL, "token": date(2026, 11, 30)}, ("token",), "token must be text, not a date. Write it in quotes."),
        (ClientConfig, {**URL, "time_zone": []}, ("time_zone",), "time_zone must be text, not a list."),
        (ClientConfig, {**URL, "verify": None}, ("verify",), "verify must be true or false or text, not empty."),
        (
            ClientConfig,
            {**URL, "tables": {"columns": {**TABLE, "primary": ["id", 7]}}},
            ("tables", "columns", "primary", 1),
            "'columns': primary[1] must be text, not a whole number.",
        ),
        (
            ClientConfig,
            {**URL, "directories": {"d": {"path": "x", "prefix": "../y"}}},
            ("directories", "d", "prefix"),
            "'d': prefix is '../y'. Give a folder of the source, such as '2026/01'.",
        ),
        (
            ServerConfig,
            {"tokens": [{"tables": []}]},
            ("tokens", 0),
            "A token has neither token nor token_sha256. Give it one of them; `airflow-sync token new` makes both.",
        ),
        (
            ClientConfig,
            {**URL, "tables": {"orders": {**TABLE, "columns": ["id", "\ud800"]}}},
            ("tables", "orders", "columns", 1),
            r"'orders': '\ud800' is not valid Unicode. Write it in UTF-8.",
        ),
        (ServerConfig, {"tokens": [7]}, ("tokens", 0), "tokens[0] must be a mapping, not a whole number."),
    ],
)
def test_one_mistake(kind: type[ClientConfig | ServerConfig], settings: dict[str, Any], place: Any, message: str) -> None:
    """A message names the option, its value, and the allowed values."""
    (found,) = mistakes(kind, settings)
    assert found.place == place
    assert found.message.startswith(message)


@pytest.mark.parametrize("group", ["tables", "directories"])
def test_names_that_are_not_unicode(group: str) -> None:
    """A name with bytes that are not UTF-8 is refused before any request."""
    with pytest.raises(WrongOptions, match=r"'caf\\udce9' is not valid Unicode"):
        ClientConfig.from_dict({**URL, group: {"caf\udce9": {**TABLE} if group == "tables" else {"path": "x"}}})


def test_the_error_travels() -> None:
    """The error keeps its mistakes when it is pickled."""
    with pytest.raises(WrongOptions) as refused:
        ClientConfig.from_dict({})
    again = pickle.loads(pickle.dumps(refused.value))
    assert (str(again), again.mistakes) == (str(refused.value), refused.value.mistakes)


def test_secrets_are_not_in_errors() -> None:
    """Neither the message nor the traceback shows the value of a wrong token."""
    with pytest.raises(WrongOptions) as refused:
        ClientConfig.from_dict({**URL, "token": ["secret"], "headers": {"X-Key": ["secret"]}})
    assert "secret" not in str(refused.value) + str(refused.value.__cause__)


def test_configurations_are_values() -> None:
    """A configuration is immutable, can be pickled, and equals one with the same options."""
    config = ClientConfig.from_dict({**URL, "tables": {"orders": TABLE}})
    with pytest.raises(ValueError, match="frozen"):
        config.retries = 7
    assert pickle.loads(pickle.dumps(config)) == config == ClientConfig.from_dict({**URL, "tables": {"orders": TABLE}})
