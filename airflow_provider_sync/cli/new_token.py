"""``token new``: print a random token once, and the entries for ``server.yaml``, Airflow and ``client.yaml``."""

from __future__ import annotations

import json
import secrets
import sys
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from airflow_provider_sync.cli.terminal.output import Line, Output
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.config.mistakes import Mistake, WrongOptions
from airflow_provider_sync.config.tokens import token_digest
from airflow_provider_sync.exceptions import ConfigurationError

DONE = 0

PREFIX = "sync_"
"""Prefix of every token, by which secret scanners recognise it."""

_BYTES = 32

_ARGUMENTS = {"name": "--name", "expires": "--expires", "addresses": "--address"}


def main(options: Namespace) -> int:
    """Make one token and print it; nothing is written to a file."""
    token = PREFIX + secrets.token_urlsafe(_BYTES)
    entry = _entry(token, options)
    # Also with --quiet: a token that is not shown is lost.
    output = Output(sys.stdout, options.output)
    if output.takes_data:
        output.data({"token": token, **entry})
    else:
        output.show(map(Line, _lines(token, entry)))
    return DONE


def _entry(token: str, options: Namespace) -> dict[str, Any]:
    """Return the options of the token in ``server.yaml``.

    :raises ConfigurationError: when the server would refuse them, and for an expiry in the past
    """
    given = {
        "name": options.name,
        "token_sha256": token_digest(token),
        "expires": options.expires,
        "addresses": options.address or None,
    }
    entry = {name: value for name, value in given.items() if value is not None}
    try:
        (checked,) = ServerConfig.from_dict({"tokens": [entry]}).tokens
    except WrongOptions as error:
        raise ConfigurationError(" ".join(map(_of_argument, error.mistakes))) from error
    if checked.expires is not None and checked.expires < datetime.now(UTC):
        raise ConfigurationError(f"--expires {options.expires} is in the past. Give a later date.")
    return entry


def _of_argument(mistake: Mistake) -> str:
    """Return the message of a mistake with the argument's name in place of the option's."""
    option = str(mistake.place[2])
    return mistake.message.replace(option, _ARGUMENTS[option], 1)


def _lines(token: str, entry: dict[str, Any]) -> Iterator[str]:
    fields = ", ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in entry.items())
    connection = json.dumps({"conn_type": "sync", "host": "SERVER_URL", "password": token})
    yield "The token, which is shown only now:"
    yield ""
    yield f"  {token}"
    yield ""
    yield 'Server: put this under tokens in server.yaml, in place of "${SYNC_TOKEN}"; limit it by tables and directories.'
    yield ""
    yield f"  - {{{fields}}}"
    yield ""
    yield "Airflow: make it the password of the connection, in the form of connections or, with the server's URL, as"
    yield ""
    yield f"  AIRFLOW_CONN_SYNC_DEFAULT='{connection}'"
    yield ""
    yield 'Command line: set it where client.yaml has token: "${SYNC_TOKEN}".'
    yield ""
    yield f"  SYNC_TOKEN={token}"
