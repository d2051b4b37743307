"""Secrets in URLs are found as the libraries that use the URLs read them."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import make_url

from airflow_provider_sync.url_secrets import replace_secrets, secrets_in_urls
from tests.hostile_urls import HARMLESS_URLS, HOSTILE_URLS


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_secrets_are_found(url: str) -> None:
    """Each secret is found as a whole, and what is around it stays."""
    assert any("tulip" in secret and "garden" in secret for secret in secrets_in_urls(url))
    shown = replace_secrets(url, lambda _name, _secret: "***")
    assert re.search("tulip|garden", shown) is None
    assert re.search(r"db.*/shop", shown)


@pytest.mark.parametrize("text", HARMLESS_URLS)
def test_other_text_stays(text: str) -> None:
    """Ports, paths, users, and text behind a URL are no secrets."""
    assert secrets_in_urls(text) == []
    assert replace_secrets(text, lambda _name, _secret: "***") == text


@pytest.mark.parametrize("password", ["plain", "a/b", "a?b=c&d", "a b", "1/2", "a:b", "a#b", "a://b", "a%2Fb"])
def test_passwords_are_those_of_sqlalchemy(password: str) -> None:
    """The password of a database is found to the same end as SQLAlchemy does."""
    url = f"mysql://me@company:{password}@db:3306/shop?user=me@company"
    assert make_url(url).password == make_url(f"mysql://:{password}@").password
    assert secrets_in_urls(url) == [password]


def test_several_urls() -> None:
    """In a text each URL has its own secrets, and text behind an account stays."""
    text = "mysql://a:one@db and https://b:two@h/x?token=three say: user 'me'@'localhost'\nhttp://c:four@h"
    assert sorted(secrets_in_urls(text)) == sorted(["one", "two", "three", "four"])
    assert replace_secrets(text, lambda name, secret: f"<{name}>") == (
        "mysql://a:<password>@db and https://b:<password>@h/x?token=<token> say: user 'me'@'localhost'\nhttp://c:<password>@h"
    )


def test_the_longest_text_takes_linear_time() -> None:
    """Text that begins like a URL again and again is searched in linear time, whether an account ends or not."""
    for begin in ("://a:", "://", "?token", "?token=", "://a:1/", "://a:b@"):
        for end in ("", "@", "\n@", " @ "):
            replace_secrets(begin * 50_000 + end, lambda _name, _secret: "")
            replace_secrets(f"@{end}" + begin * 50_000, lambda _name, _secret: "")
