"""Find the secrets in a configuration by the names of their options, before validation, since invalid ones have secrets, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_sync.url_secrets import secrets_in_urls

_SECRETS = frozenset({"token", "tokens", "password", "mask_key", "headers"})
_NOT_SECRET = frozenset({"name", "tables", "directories", "where", "addresses", "expires", "token_sha256"})
"""The other options in the entry of a token."""


def secrets_in(settings: Any) -> Iterator[str]:
    """Yield the secrets of a configuration: tokens, passwords, keys, headers, and the secrets in URLs.

    :param settings: content of a file, with variables replaced; values other than mappings, lists and text are ignored
    """
    if isinstance(settings, Mapping):
        for name, value in settings.items():
            yield from (_texts(value) if name in _SECRETS else secrets_in(value))
    elif isinstance(settings, (list, tuple)):
        for value in settings:
            yield from secrets_in(value)
    elif isinstance(settings, str):
        yield from (secret for secret in secrets_in_urls(settings) if "${" not in secret)


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
