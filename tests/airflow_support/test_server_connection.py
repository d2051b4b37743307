"""What each way of writing a ``sync`` connection means."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_sync.airflow_support.server_connection import client_config
from airflow_provider_sync.config import ClientConfig, SizeLimits
from airflow_provider_sync.exceptions import ConfigurationError


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a function that reads a connection from the environment, written as a URI or as its fields."""

    def read(uri: str | None = None, **fields: Any) -> ClientConfig:
        monkeypatch.setenv("AIRFLOW_CONN_SOURCE", uri or json.dumps({"conn_type": "sync", **fields}))
        return client_config(BaseHook.get_connection("source"))

    return read


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "https://source.example/api/sync"}, "https://source.example/api/sync"),
        ({"host": "https://source.example/api/sync/"}, "https://source.example/api/sync"),
        ({"host": "source.example/api/sync"}, "https://source.example/api/sync"),
        ({"host": "source.example", "schema": "http", "port": 8765}, "http://source.example:8765"),
        ({"host": "source.example/api", "schema": "HTTPS", "port": 8443}, "https://source.example:8443/api"),
        ({"host": "http://127.0.0.1:8765"}, "http://127.0.0.1:8765"),
        ({"host": "http://127.0.0.1", "port": 8765, "schema": "api/sync"}, "http://127.0.0.1:8765/api/sync"),
        ({"host": "http://127.0.0.1:8765/api/sync", "port": 0}, "http://127.0.0.1:8765/api/sync"),
        ({"host": "http://127.0.0.1:8765/api/sync", "port": 8765}, "http://127.0.0.1:8765/api/sync"),
        ({"host": "https://[::1]/api/sync", "port": 8765}, "https://[::1]:8765/api/sync"),
    ],
)
def test_base_url(read: Any, fields: dict[str, Any], url: str) -> None:
    """The host is the base URL, with or without a scheme; schema and port are read as in HTTP connections."""
    assert read(**fields).url == url


def test_two_ports(read: Any) -> None:
    """A port that differs from the URL's is refused, and the error names both."""
    with pytest.raises(ConfigurationError, match=r"has the port 80, and its URL has 8765\. Leave one"):
        read(host="http://127.0.0.1:8765/api/sync", port=80)


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("sync://:secret-token@source.example", "https://source.example"),
        ("sync://http://:secret-token@127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("sync://https://:secret-token@source.example/api/sync", "https://source.example/api/sync"),
        ("sync://:secret-token@https%3A%2F%2Fsource.example%2Fapi%2Fsync", "https://source.example/api/sync"),
    ],
)
def test_uri(read: Any, uri: str, url: str) -> None:
    """A connection that is written as a URI keeps its scheme, its path and its token."""
    config = read(uri)
    assert (config.url, config.token) == (url, "secret-token")


def test_examples_of_the_reference(read: Any) -> None:
    """Every way of writing a connection that the reference shows leads to the same server with the same token."""
    page = Path(__file__).parents[2] / "docs" / "reference" / "connection.md"
    written = re.findall(r"AIRFLOW_CONN_SYNC_DEFAULT='(.*)'", page.read_text())
    assert len(written) == 2
    for text in written:
        config = read(text)
        assert (config.url, config.token, config.timeout) == ("https://source.example/api/sync", "the-token", 30.0)


def test_token(read: Any) -> None:
    """A password without a login is a bearer token."""
    config = read(host="source.example", password="secret-token")
    assert (config.token, config.login, config.password) == ("secret-token", None, None)


def test_basic_credentials(read: Any) -> None:
    """A login with a password is basic authentication, and no token."""
    config = read(host="source.example", login="me", password="secret-password")
    assert (config.token, config.login, config.password) == (None, "me", "secret-password")


def test_extra(read: Any) -> None:
    """Everything in extra arrives at the client."""
    config = read(
        host="source.example",
        extra={"timeout": 5, "retries": 0, "verify": False, "protocol": 1, "headers": {"X-Tenant": "blue-tenant"}},
    )
    assert (config.timeout, config.retries, config.verify, str(config.protocol)) == (5.0, 0, False, "1")
    assert config.headers == {"X-Tenant": "blue-tenant"}


def test_extra_as_text(read: Any) -> None:
    """Extra fields may be text, as in the query of a URI."""
    config = read(
        "sync://source.example/?timeout=2.5&retries=7&verify=false&protocol=2&headers=%7B%22X-Key%22%3A%20%22key-of-mine%22%7D"
    )
    assert (config.timeout, config.retries, config.verify, config.protocol) == (2.5, 7, False, "2")
    assert config.headers == {"X-Key": "key-of-mine"}


def test_empty_extra_fields(read: Any) -> None:
    """Empty fields of the form have the default, and unknown fields are ignored."""
    config = read(host="source.example", extra={"timeout": None, "protocol": "", "headers": {}, "note": "of the owner"})
    assert config == ClientConfig(url="https://source.example")


def test_time_zone(read: Any) -> None:
    """The time zone of an existing server's database is an offset, also as YAML reads one without quotes, or an IANA name."""
    zones = [read(host="source.example", extra={"time_zone": zone}).time_zone for zone in ("+1:00", 600, "Europe/Berlin", "")]
    assert zones == ["+01:00", "+10:00", "Europe/Berlin", None]
    with pytest.raises(ConfigurationError, match=r"Connection 'source': extra field 'time_zone' is 'SYSTEM'\. Give "):
        read(host="source.example", extra={"time_zone": "SYSTEM"})


def test_bundle_of_authorities(read: Any) -> None:
    """A path in ``verify`` is that of a bundle of authorities."""
    assert read(host="source.example", extra={"verify": "/etc/ssl/company.pem"}).verify == "/etc/ssl/company.pem"


def test_a_certificate_of_the_client(read: Any) -> None:
    """``certificate`` and ``key`` are paths of files, also in a connection that is written as a URI."""
    config = read(host="source.example", extra={"certificate": "/etc/ssl/client.pem", "key": "/etc/ssl/client.key"})
    assert (config.certificate, config.key) == ("/etc/ssl/client.pem", "/etc/ssl/client.key")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout", "soon"),
        ("timeout", 0),
        ("retries", 1.5),
        ("retries", -1),
        ("verify", "perhaps"),
        ("certificate", 7),
        ("key", True),
        ("protocol", "3"),
    ],
)
def test_wrong_extra(read: Any, field: str, value: Any) -> None:
    """A wrong extra field is one line that names the connection, the field, its value and what to give."""
    with pytest.raises(ConfigurationError) as caught:
        read(host="source.example", extra={field: value})
    message = str(caught.value)
    assert f"Connection 'source': extra field {field!r} is {value!r}. Give " in message
    assert "\n" not in message


@pytest.mark.parametrize("headers", ["{not json", '["secret-value"]', {"X-Key": ["secret-value"]}])
def test_wrong_headers_stay_secret(read: Any, headers: Any) -> None:
    """Wrong headers are refused without showing them."""
    with pytest.raises(ConfigurationError, match="'headers'") as caught:
        read(host="source.example", extra={"headers": headers})
    assert "secret-value" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_login_without_password(read: Any) -> None:
    """A login without a password is refused, because it is usually a token in the wrong field."""
    with pytest.raises(ConfigurationError, match="Put a bearer token into the password"):
        read(host="source.example", login="secret-token")


def test_no_host(read: Any) -> None:
    """A connection without a host is refused with an example."""
    with pytest.raises(ConfigurationError, match="has no host"):
        read(password="secret-token")


def test_limits(read: Any) -> None:
    """Time limits and size limits are read from extra, also as text, and wrong ones are named."""
    extra = {"max_silence": 60, "max_seconds": 600, "limits": {"max_rows": 10}}
    for config in (
        read(host="source.example", extra=extra),
        read("sync://source.example?max_silence=60&max_seconds=600&limits=%7B%22max_rows%22%3A+10%7D"),
    ):
        assert (config.max_silence, config.max_seconds, config.limits) == (60, 600, SizeLimits(max_rows=10))
    for wrong in (
        {"max_seconds": 0},
        {"max_silence": "soon"},
        {"limits": {"rows": 1}},
        {"limits": "x"},
        {"limits": "[" * 9999},
        {"timeout": 1e20},
        {"max_silence": "inf"},
        {"retries": 10**6},
    ):
        with pytest.raises(ConfigurationError, match=f"extra field '{next(iter(wrong))}' is"):
            read(host="source.example", extra=wrong)
