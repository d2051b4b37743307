"""Tokens of ``server.yaml``: what is read from them, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.config import ServerConfig, Token
from airflow_provider_sync.config.tokens import token_digest
from airflow_provider_sync.exceptions import ConfigurationError

SHA256 = token_digest("secret")
END_OF_JANUARY = datetime(2027, 1, 31, 23, 59, 59, 999_999, UTC)


def read(*tokens: Any) -> tuple[Token, ...]:
    """Read tokens as a configuration has them."""
    return ServerConfig.from_dict({"tokens": list(tokens)}).tokens


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("2027-01-31", END_OF_JANUARY),
        ('"2027-01-31"', END_OF_JANUARY),
        ("2027-01-31T12:00:00Z", datetime(2027, 1, 31, 12, tzinfo=UTC)),
        ("2027-01-31 12:00:00 +01:00", datetime(2027, 1, 31, 11, tzinfo=UTC)),
        ('"2027-01-31T12:00+01:00"', datetime(2027, 1, 31, 11, tzinfo=UTC)),
        ("9999-12-31", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_expires(tmp_path: Path, written: str, read_as: datetime) -> None:
    """A date is valid to its end in UTC, and a time has its zone, in any YAML notation."""
    path = tmp_path / "server.yaml"
    path.write_text(f"tokens: [{{token: a, expires: {written}}}]")
    (token,) = ServerConfig.from_yaml(path).tokens
    assert token.expires == read_as


def test_a_digest_stands_for_its_token() -> None:
    """The SHA-256 of a token is that of its UTF-8 text, in capitals or not."""
    (token,) = read({"token_sha256": token_digest("schlüssel").upper()})
    assert token.digest == Token(token="schlüssel").digest == token_digest("schlüssel")


def test_addresses() -> None:
    """Addresses and networks of both families are read; an address is a network of one."""
    (token,) = read({"token": "a", "addresses": ["192.0.2.7", "10.0.0.0/8", "2001:db8::/32"]})
    assert token.addresses is not None
    assert [str(network) for network in token.addresses] == ["192.0.2.7/32", "10.0.0.0/8", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"token": "s3cret", "token_sha256": SHA256}, "A token has both token and token_sha256. Leave one of them out."),
        ({"name": "berlin"}, "The token 'berlin' has neither token nor token_sha256. Give it one of them"),
        ({"token_sha256": "s3cret"}, "token_sha256 is no SHA-256, which has 64 hex digits."),
        ({"token_sha256": SHA256[:-1]}, "token_sha256 is no SHA-256"),
        ({"token": "s3cret", "name": ""}, "name is ''. Give a name of 1 to 100 letters, for the log."),
        ({"token": "s3cret", "name": "two\nlines"}, "name is 'two"),
        ({"token": "s3cret", "expires": "soon"}, "expires is 'soon'. Give a date such as 2027-01-31, or a time with its zone"),
        ({"token": "s3cret", "expires": "2027-01-31T12:00:00"}, "expires is 2027-01-31 12:00:00, a time without a zone."),
        ({"token": "s3cret", "expires": 20270131}, "expires is '20270131'."),
        ({"token": "s3cret", "expires": "2027-02-30"}, "expires is '2027-02-30'."),
        ({"token": "s3cret", "expires": "0001-01-01T00:00:00+14:00"}, "expires is "),
        ({"token": "s3cret", "addresses": ["10.1.0.0/8"]}, "addresses has '10.1.0.0/8'. Did you mean 10.0.0.0/8, or one"),
        ({"token": "s3cret", "addresses": ["example.org"]}, "addresses has 'example.org'. Give an address such as 192.0.2.7"),
        ({"token": "s3cret", "addresses": [10.1]}, "addresses has '10.1'."),
        ({"token": "s3cret", "addresses": "10.0.0.0/8"}, "tokens[0].addresses must be a list, not text."),
        ({"token": "s3cret", "addresses": []}, "addresses is empty, so that nobody could use the token."),
    ],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    """An invalid token is refused with its option and the allowed values, and without the secret."""
    with pytest.raises(ConfigurationError) as refused:
        read(options)
    assert message in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_each_token_and_each_name_once() -> None:
    """A duplicate token, in either form, and a duplicate name are refused."""
    with pytest.raises(ConfigurationError, match=r"tokens\[1\] is the same token as tokens\[0\]"):
        read("secret", {"token_sha256": SHA256, "tables": []})
    with pytest.raises(ConfigurationError, match=r"tokens\[2\] has the name of tokens\[0\], 'berlin'"):
        read({"token": "a", "name": "berlin"}, "b", {"token": "c", "name": "berlin"})
