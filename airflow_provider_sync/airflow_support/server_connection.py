"""Read an Airflow connection of the type ``sync`` as the configuration of a client."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from airflow.providers.common.compat.sdk import Connection

# From Airflow 3.1 on it is here; only the latest common-compat offers it on the common import path.
from airflow.sdk.log import mask_secret  # noqa: TID251  # see above

from airflow_provider_sync.airflow_support.settings import cache_setting
from airflow_provider_sync.config import ClientConfig, SizeLimits
from airflow_provider_sync.config.mistakes import WrongOptions
from airflow_provider_sync.config.options import MAX_RETRIES, MAX_SECONDS, MAX_SOCKET_SECONDS
from airflow_provider_sync.exceptions import ConfigurationError

_EXTRA = {
    "timeout": f"a number of seconds above 0, at most {MAX_SOCKET_SECONDS}",
    "retries": f"a whole number from 0 to {MAX_RETRIES}",
    "max_silence": f"a number of seconds above 0, at most {MAX_SOCKET_SECONDS}",
    "max_seconds": f"a number of seconds above 0, at most {MAX_SECONDS}",
    "limits": f"a JSON object with numbers for any of: {', '.join(SizeLimits.model_fields)}",
    "verify": "true, false, or the absolute path of a bundle of authorities",
    "certificate": "the path of the client's certificate, as text",
    "key": "the path of its private key, as text",
    "protocol": "'auto', '1' or '2'",
    "time_zone": "an offset such as '+01:00', or an IANA name such as 'Europe/Berlin'",
    "headers": "a JSON object of header names and values",
}
"""The fields of ``extra`` that are read, and what each must be."""

_PORT = re.compile(r":[0-9]+$")


def client_config(connection: Connection) -> ClientConfig:
    """Read a connection: host is the base URL, the password a bearer token, or login and password are basic credentials.

    Everything in ``extra`` may be text, as it is when the connection is written as a URI.

    :raises ConfigurationError: naming the connection and the field
    """
    if connection.login and not connection.password:
        raise ConfigurationError(
            f"Connection {connection.conn_id!r} has a login but no password."
            " Put a bearer token into the password and leave the login empty."
        )
    basic = bool(connection.login)
    extra = {name: value for name, value in connection.extra_dejson.items() if name in _EXTRA and value not in (None, "", {})}
    settings = {
        "url": base_url(connection),
        "token": None if basic else connection.password or None,
        "login": connection.login if basic else None,
        "password": connection.password if basic else None,
        "cache": cache_setting(),
        **{name: _read_field(name, value) for name, value in extra.items()},
    }
    try:
        return ClientConfig.from_dict(settings)
    except WrongOptions as error:
        name = str(error.mistakes[0].place[0])
        # The values of headers are often secrets.
        given = "something else" if name == "headers" else repr(extra[name])
        raise ConfigurationError(
            f"Connection {connection.conn_id!r}: extra field {name!r} is {given}. Give {_EXTRA[name]}."
        ) from None


def base_url(connection: Connection) -> str:
    """Return the base URL of the endpoints.

    The host may be a whole URL. Without a scheme it is https, unless the schema field says http. Any other schema is a
    path: that is where Airflow puts the path of a connection that is written as a URI.

    :raises ConfigurationError: when there is no host, or the port is another one than the URL's
    """
    if not connection.host:
        raise ConfigurationError(
            f"Connection {connection.conn_id!r} has no host. Give the base URL, such as https://source.example/api/sync."
        )
    schema = (connection.schema or "").strip("/")
    scheme = schema.lower() if schema.lower() in ("http", "https") else ""
    url = connection.host if "://" in connection.host else f"{scheme or 'https'}://{connection.host}"
    start, separator, path = url.partition("://")
    host, slash, rest = path.partition("/")
    port = f":{connection.port}" if connection.port else ""
    if port and (named := _PORT.search(host)):
        if named.group() != port:
            raise ConfigurationError(
                f"Connection {connection.conn_id!r} has the port {connection.port}, and its URL has {named.group()[1:]}."
                " Leave one of them out."
            )
        port = ""
    return f"{start}{separator}{host}{port}{slash}{rest}".rstrip("/") + (f"/{schema}" if schema and not scheme else "")


def _read_field(name: str, value: Any) -> Any:
    """Return a field of ``extra`` as a configuration file would have it; checking it is the configuration's part."""
    match name:
        case "headers":
            return _read_headers(value)
        case "limits":
            return _decoded(value)
        case "verify" if isinstance(value, str) and "/" not in value:
            # A connection that is written as a URI has text here. Any other word becomes None, which is no valid value.
            return {"true": True, "1": True, "false": False, "0": False}.get(value.lower())
        case _:
            return value


def _read_headers(value: Any) -> Any:
    """Decode headers that are JSON text, and hide their values in logs."""
    value = _decoded(value)
    if isinstance(value, Mapping):
        for content in value.values():
            mask_secret(content)
    return value


def _decoded(value: Any) -> Any:
    """Decode JSON text; return ``None`` for text that is not JSON, and other values as they are."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None
