"""Find the secrets in a configuration by the names of their options, before validation, since invalid ones have secrets, too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_sync.redaction import HIDDEN_NAMES

_SECRETS = frozenset({"token", "tokens", "password", "mask_key", "headers"})
_NOT_SECRET = frozenset({"name", "tables", "directories", "where", "addresses", "expires", "token_sha256"})
"""The other options in the entry of a token."""

_PARAMETER = re.compile(rf"[?&]\w*(?:{HIDDEN_NAMES})=([^&#\s]+)", re.IGNORECASE)
"""A parameter of a URL that has a secret, such as ``?password=…`` or ``&sslpassword=…``."""


def secrets_in(settings: Any) -> Iterator[str]:
    """Yield the secrets of a configuration: tokens, passwords, keys, headers, and the passwords of URLs.

    :param settings: content of a file, with variables replaced; values other than mappings, lists and text are ignored
    """
    if isinstance(settings, Mapping):
        for name, value in settings.items():
            yield from (_texts(value) if name in _SECRETS else secrets_in(value))
    elif isinstance(settings, (list, tuple)):
        for value in settings:
            yield from secrets_in(value)
    elif isinstance(settings, str):
        yield from (password for password in passwords_of(settings) if "${" not in password)


def passwords_of(url: str) -> Iterator[str]:
    """Yield the passwords in a URL, of its account and in its parameters, as they are written there; nothing in other text."""
    _, scheme, rest = url.partition("://")
    if not scheme:
        return
    yield from _PARAMETER.findall(rest)
    account, at, _ = rest.rpartition("@")
    password = account.partition(":")[2]
    if at and password:
        yield password


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        # A variable that was not replaced is no secret, and messages name it.
        yield from (() if "${" in value else (value,))
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from (() if name in _NOT_SECRET else _texts(inner))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)
