"""Secrets are hidden from everybody who reads errors, logs and reports."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync import exceptions
from airflow_provider_sync.config import ClientConfig, ServerConfig
from airflow_provider_sync.config.secret_options import secrets_in
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.exceptions import ConfigurationError, SyncError, UnexpectedError, wrap_unexpected_errors
from airflow_provider_sync.redaction import MIN_LENGTH, redact, remember_secrets
from tests.hostile_urls import HARMLESS_URLS, HOSTILE_URLS
from tests.test_exceptions import ERRORS, made

SECRET = "correct-horse/battery"
# As a driver, a URL, a library and a program say it.
MESSAGES = (
    f"mysql://reader:{SECRET.replace('/', '%2F')}@db.example/shop does not answer",
    f"connection failed: host=db.example password={SECRET} user=reader",
    f"headers were {{'Authorization': 'Bearer {SECRET}'}}",
    f'the server said {{"token": "{SECRET}", "table": "orders"}}',
    f"https://store.example/b?X-Amz-Signature={SECRET}&X-Amz-Expires=60",
    "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE+/battery==\n-----END EC PRIVATE KEY-----",
)


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("kind", ERRORS)
def test_no_error_has_a_secret(kind: type[SyncError], message: str) -> None:
    """Every kind of error hides a recognizable secret, also after pickling and in its representation."""
    error = kind(message, *made(kind).args[1:]) if len(inspect.signature(kind.__init__).parameters) > 2 else kind(message)
    for shown in (str(error), repr(error), str(pickle.loads(pickle.dumps(error))), str(error.with_subject("Table 'x'"))):
        assert "battery" not in shown
        assert "***" in shown


def test_what_is_known_to_be_a_secret() -> None:
    """A secret of the configuration is hidden at any place, in all forms in which libraries quote it."""
    token, password = "tok'en \"ü/8", "p@ss wörd%1"
    ServerConfig.from_dict({"tokens": [token], "mask_key": "mask-key-of-masks"})
    ClientConfig.from_dict({"url": "https://source.example", "login": "reader", "password": password})
    for text in (
        token,
        repr(token),
        f'{{"sent": "{password}"}}',
        "p%40ss%20w%C3%B6rd%251",
        "p%40ss+w%C3%B6rd%251",
        "mask-key-of-masks",
    ):
        assert "***" in redact(f"It said {text}.")
    assert "wörd" not in redact(f"It said {password}.")
    with pytest.raises(UnexpectedError) as wrapped, wrap_unexpected_errors():
        raise ValueError(f"a bug quotes {token}")
    assert "tok" not in str(wrapped.value).removeprefix("An unexpected error")


def test_a_url_with_a_password() -> None:
    """A client's configuration hides the password in its URL when it is printed."""
    assert "u:***@host" in repr(ClientConfig.from_dict({"url": "http://u:pw-in-url@host"}))


def test_a_wrong_configuration_keeps_its_secrets() -> None:
    """The refusal of a configuration shows none of its secrets, and they are hidden from then on."""
    settings = {"tokens": [{"token": "token-of-the-shop", "tables": ["x"]}], "connections": {"a": "mysql://u:pass-of-shop@h/x"}}
    with pytest.raises(ConfigurationError) as refused:
        ServerConfig.from_dict({**settings, "tabels": {"token-of-the-shop": {}}})
    assert "token-of-the-shop" not in str(refused.value)
    assert redact("pass-of-shop") == "***"


def test_the_password_of_a_connection() -> None:
    """The password of every database that is opened is hidden, percent-encoded or not."""
    pytest.importorskip("pymysql")
    open_engine("mysql+pymysql://reader:sesame%2Fopen@db.example/shop").dispose()
    assert redact("no such user: sesame/open, sesame%2Fopen") == "no such user: ***, ***"


def test_secrets_of_all_options() -> None:
    """Tokens, passwords, keys, headers and passwords in URLs are secrets; names of tables and conditions are not."""
    settings = {
        "url": "https://a:first-one@h",
        "token": "second-one",
        "tokens": ["third-one", {"token": "fourth-one", "name": "shop", "tables": ["orders"], "where": {"orders": "id > 1"}}],
        "headers": {"X-Key": "fifth-one"},
        "tables": {"orders": {"connection": "postgresql://u:sixth-one@h/x", "where": "a = 'b'"}},
        "mask_key": "seventh-one",
        "connections": {"shop": "postgresql://h/x?PASSWORD=eighth-one&sslpassword=ninth-one&user=u"},
    }
    ordinals = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
    assert sorted(secrets_in(settings)) == sorted(f"{ordinal}-one" for ordinal in ordinals)


@pytest.mark.parametrize(
    "text",
    [
        "Give `token=`, or login and password.",
        'Write brackets around them: tokens: ["${SYNC_TOKEN}"].',
        "s3://connection@bucket/reports",
        "The password is percent-encoded: mysql://user@host/database",
        "Table 'tokens' has no primary key. Name one with `primary_key=`.",
    ],
)
def test_other_text_stays(text: str) -> None:
    """Advice and names are not changed."""
    assert redact(text) == text


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_secrets_in_urls(url: str) -> None:
    """A URL in a text has no secret, and the configuration of which it is a value finds the secret as a whole."""
    shown = redact(f"The connection\n{url} does not answer.")
    assert re.search("tulip|garden", shown) is None
    assert "***" in shown
    assert any("tulip" in secret and "garden" in secret for secret in secrets_in({"connections": {"shop": url}}))


@pytest.mark.parametrize("text", HARMLESS_URLS)
def test_urls_without_secrets_stay(text: str) -> None:
    """Ports, paths, users, and text behind a URL are not hidden."""
    assert redact(text) == text
    assert list(secrets_in({"url": text})) == []


def test_words_stay() -> None:
    """A common word as password does not hide longer words; a very short password is hidden only by its form."""
    remember_secrets(["postgres", "root"])
    assert redact('user "postgres" of postgresql, root') == 'user "***" of postgresql, root'
    assert redact("mysql://root:root@h") == "mysql://root:***@h"


@given(
    secret=st.text(min_size=MIN_LENGTH, max_size=40).filter(lambda text: len(text.strip()) >= MIN_LENGTH),
    before=st.text(),
    after=st.text(),
)
def test_any_secret(secret: str, before: str, after: str) -> None:
    """No error shows a secret, whatever characters it has."""
    secret = f"x{secret.strip()}x"
    remember_secrets([secret])
    assert secret not in redact(f"{before} {secret} {after}")


def test_long_text_is_quick() -> None:
    """Long text that resembles the beginning of a secret is handled in linear time."""
    for text in ("://" + "a" * 200_000, "password" * 50_000, "://a:" * 50_000, "'token': '" * 20_000):
        redact(text)


def test_the_list_of_errors_is_whole() -> None:
    """The list above has every error class of the package."""
    kinds = [value for value in vars(exceptions).values() if inspect.isclass(value) and issubclass(value, SyncError)]
    assert kinds == ERRORS
