"""The text of a new ``server.yaml`` or ``client.yaml``: names and comments in, YAML out, secrets replaced by variables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import yaml

from airflow_provider_sync.config.options import VARIABLE
from airflow_provider_sync.config.table_patterns import is_pattern
from airflow_provider_sync.printable import printable
from airflow_provider_sync.url_secrets import replace_secrets

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


class HiddenUrl(NamedTuple):
    """A URL that may be written down.

    :ivar url: with ``${NAME}`` in place of each secret
    :ivar secrets: value of each variable, as written in the URL
    """

    url: str
    secrets: Mapping[str, str]


def hide_secrets(url: str, prefix: str) -> HiddenUrl:
    """Replace the password of a database URL, and parameters whose names mean a secret, by variables of the environment.

    Variables that the URL already has stay.

    :param prefix: prefix of the names of new variables, such as ``DB``
    """
    secrets: dict[str, str] = {}

    def variable(name: str, value: str) -> str:
        if re.fullmatch(VARIABLE, value):
            return value
        variable = f"{prefix}_{re.sub(r'[^A-Za-z0-9]', '_', name).upper()}"
        secrets[variable] = value
        return f"${{{variable}}}"

    return HiddenUrl(replace_secrets(url, variable), secrets)


def server_text(
    connection: str, url: str, tables: Mapping[str, str | None], views: Mapping[str, Sequence[str]] | None = None
) -> str:
    """Write a ``server.yaml``.

    :param connection: name of the connection
    :param url: URL of the database, without secrets
    :param tables: names, each with the reason why it cannot be offered as it is; ``None`` if it can
    :param views: the columns of each view, by its name
    """
    lines = [
        "# Made by `airflow-sync init` from the tables that the database has. To offer new ones without a change of this file,",
        '# write "*": {} in place of their names.',
        'tokens: ["${SYNC_TOKEN}"]',
        "connections:",
        f"  {_scalar(connection)}: {_quoted(url)}",
        "tables:",
        *_entries(tables, "{}"),
    ]
    if views:
        lines.append(
            "  # Views: remove the # before those to offer, and leave in primary the columns that tell their rows apart."
        )
        lines += [f"  # {_scalar(name)}: {{primary: [{', '.join(map(_scalar, columns))}]}}" for name, columns in views.items()]
    return "\n".join([*lines, ""])


def client_text(
    url: str,
    *,
    has_token: bool,
    tls: Mapping[str, str],
    database: str | None,
    tables: Mapping[str, str | None],
    directories: Mapping[str, str],
) -> str:
    """Write a ``client.yaml``.

    :param url: base URL of the server
    :param has_token: whether the server wants a token
    :param tls: paths of certificates and keys, by option
    :param database: URL of the target, without secrets; ``None`` for directories alone
    :param tables: names, each with the reason why the server cannot offer it as it is; ``None`` if it can
    :param directories: target path of each, by name
    """
    tables = {name: reason for name, reason in tables.items() if not is_pattern(name)}
    made = "# Made by `airflow-sync init` from what the server offers."
    lines = [
        f"{made} To sync new tables without a change of this file, write" if tables else made,
        *(['# "*": {create_table: true} in place of their names.'] if tables else []),
        f"url: {_quoted(url)}",
        *(['token: "${SYNC_TOKEN}"'] if has_token else []),
        *(f"{option}: {_quoted(path)}" for option, path in tls.items()),
        *([] if database is None else ["connections:", f"  local: {_quoted(database)}"]),
        f"tables:{'' if None in tables.values() else ' {}'}",
        *_entries(tables, "{create_table: true}"),
        f"directories:{'' if directories else ' {}'}",
        *(f"  {_scalar(name)}: {{path: {_quoted(path)}}}" for name, path in directories.items()),
    ]
    return "\n".join([*lines, ""])


def _entries(tables: Mapping[str, str | None], options: str) -> Iterator[str]:
    """Write an entry for each table, those that cannot be offered as comments below the others."""
    yield from (f"  {_scalar(name)}: {options}" for name, reason in tables.items() if reason is None)
    if any(tables.values()):
        yield "  # These cannot be offered as they are:"
        yield from (f"  # {_scalar(name)}: {options}  # {_comment(reason)}" for name, reason in tables.items() if reason)


def _scalar(text: str) -> str:
    """Write a name so that YAML reads it as the same text."""
    if _PLAIN.fullmatch(text) and yaml.safe_load(text) == text:
        return text
    return _quoted(text)


def _quoted(text: str) -> str:
    if text.isprintable():
        return json.dumps(text, ensure_ascii=False)
    return yaml.safe_dump(text, default_style='"', width=float("inf"), allow_unicode=False).strip()


def _comment(text: str | None) -> str:
    return printable(" ".join(str(text).split()))
