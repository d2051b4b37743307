"""Keep secrets out of text that people see: lines of the log, errors, reports, and what commands print.

Two rules apply. Known secrets of this process (:func:`remember_secrets`) are replaced wherever they occur, also in the messages
of a driver. Text that looks like a secret, as in ``password=…``, is replaced because of its form; so are the secrets of URLs
(:mod:`.url_secrets`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from threading import Lock
from urllib.parse import quote, quote_plus, unquote

from airflow_provider_sync.url_secrets import SECRET_NAMES, replace_secrets

HIDDEN = "***"
"""The replacement for a secret."""

MIN_LENGTH = 8
"""Shortest secret that is replaced wherever it stands, in characters: a shorter one would take common words with it."""

MAX_FORMS = 1_000
"""Forms of secrets that are remembered at once; most secrets have one. The oldest are forgotten."""

_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(rf"((?:{SECRET_NAMES})=)(?:'[^']*'|\"[^\"]*\"|[^\s`'\"&;,)\]}}]+)", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(rf"(([\"'])(?:{SECRET_NAMES})\2\s*:\s*([\"'])).*?\3", re.IGNORECASE), rf"\1{HIDDEN}\3"),
    (re.compile(r"(authorization[\"']?\s*[:=]\s*[\"']?[a-z]+\s+)[^\s\"',]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)[\w+/=\s\\]*(-----END)"), rf"\1{HIDDEN}\2"),
)


class _Secrets:
    """The secrets that this process knows; may be used from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._patterns: dict[str, re.Pattern[str]] = {}

    def add(self, values: Iterable[str]) -> None:
        with self._lock:
            patterns = dict(self._patterns)
            for form in (form for value in values for form in _written(value)):
                # To the end: the latest secrets are forgotten last.
                patterns[form] = patterns.pop(form) if form in patterns else _whole(form)
            # A new dict, since others may be reading the old one.
            self._patterns = dict(list(patterns.items())[-MAX_FORMS:])

    def hide(self, text: str) -> str:
        found = [(form, pattern) for form, pattern in self._patterns.items() if form in text]
        # Longest first: one secret may be the beginning of another.
        for _, pattern in sorted(found, key=lambda entry: len(entry[0]), reverse=True):
            text = pattern.sub(HIDDEN, text)
        return text


_SECRETS = _Secrets()


def remember_secrets(values: Iterable[str | None]) -> None:
    """Have :func:`redact` replace these values from now on, however they are quoted.

    Values of less than :data:`MIN_LENGTH` characters are replaced only where their form shows what they are.
    """
    _SECRETS.add([value for value in values if value is not None])


def redact(text: str) -> str:
    """Return ``text`` with :data:`HIDDEN` in the place of each secret."""
    text = replace_secrets(_SECRETS.hide(text), lambda _name, _secret: HIDDEN)
    for pattern, replacement in _FORMS:
        text = pattern.sub(replacement, text)
    return text


def _whole(form: str) -> re.Pattern[str]:
    # A password such as `postgres` must leave `postgresql` alone.
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9])")


def _written(value: str) -> Iterator[str]:
    """Yield the forms in which libraries quote a value: as it is, and as in a URL, in JSON and in Python."""
    plain = value.strip()
    # Do not fail for lone surrogates, which an environment variable may have.
    in_urls = {write(plain, safe="", errors="surrogatepass") for write in (quote, quote_plus)}
    for form in {plain, unquote(plain), *in_urls, json.dumps(plain)[1:-1], repr(plain)[1:-1]}:
        if len(form) >= MIN_LENGTH:
            yield form
