"""``init``: write a first configuration file from the tables of a database, or from what a server offers."""

from __future__ import annotations

import os
import re
import sys
from argparse import Namespace
from collections.abc import Mapping
from contextlib import redirect_stdout
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from airflow_provider_sync.cli.config_places import is_there
from airflow_provider_sync.cli.config_text import client_text, hide_secrets, server_text
from airflow_provider_sync.cli.config_trials import try_server, views_of
from airflow_provider_sync.cli.connections import AIRFLOW_SCHEME
from airflow_provider_sync.cli.table_sizes import describe_tables
from airflow_provider_sync.cli.terminal.current_step import show_steps
from airflow_provider_sync.cli.terminal.output import Line, Output
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.config.mistakes import refusal
from airflow_provider_sync.config.yaml_file import expand
from airflow_provider_sync.exceptions import ConfigurationError, TableError
from airflow_provider_sync.printable import printable

DONE = 0
_MAX_FOLDER_NAME = 60  # characters, each of at most 4 bytes
_TLS = ("verify", "certificate", "key")


def main(options: Namespace) -> int:
    """Write a ``server.yaml`` or a ``client.yaml``; see :mod:`.main` for the exit code."""
    if bool(options.database) == bool(options.client):
        raise ConfigurationError(
            "Say what to make: --from DATABASE_URL for a server.yaml, or --client SERVER_URL for a client.yaml."
        )
    if options.target and not options.client:
        raise ConfigurationError("--to is the target of a client.yaml. Give it with --client SERVER_URL.")
    tls = {name: str(Path(value).absolute()) for name in _TLS if (value := getattr(options, name)) is not None}
    if tls and not options.client:
        raise ConfigurationError(f"--{next(iter(tls))} is about the server of a client.yaml. Give it with --client SERVER_URL.")
    kind = "client" if options.client else "server"
    path = Path(options.config or f"{kind}.yaml")
    if is_there(path) and not options.force:
        raise _exists(path)
    # Airflow logs to standard output if one of its connections is named.
    with redirect_stdout(sys.stderr), show_steps(quiet=options.quiet) as say:
        say("Looking at what there is")
        text, variables = _client(options.client, options.target, tls) if options.client else _server(options.database)
    _write(path, text, force=options.force)
    lines = [Line(f"Wrote {path}.")]
    lines += [Line(f"Set {name} in the environment: {meaning}.") for name, meaning in variables.items()]
    lines.append(Line(f"Then check it: {options.program} check --config {path} --connect", "next"))
    Output.of(options).show(lines)
    return DONE


def _server(url: str) -> tuple[str, dict[str, str]]:
    """Return the text of a ``server.yaml``, and the values of its variables."""
    settings, mistakes = expand({"url": url}, "--from")
    if mistakes:
        raise refusal(mistakes)
    hidden = hide_secrets(url, "DB")
    name = _connection_name(hidden.url)
    tables: dict[str, str | None] = {}
    for trial in try_server(ServerConfig.from_dict({"connections": {name: settings["url"]}, "tables": "*"})):
        if trial.what == "connection" and trial.failed:
            raise ConfigurationError(f"The database cannot be opened: {trial.message}")
        if trial.what == "table":
            tables[trial.name] = trial.message if trial.failed else None
    tables.pop("*", None)  # the pattern, which stays if it matches nothing
    views: dict[str, list[str]] = {}
    for view, found in views_of(settings["url"]).items():
        if isinstance(found, TableError):
            tables[view] = str(found)
        else:
            views[view] = found
    if not tables and not views:
        raise TableError(
            f"The database that --from names has no tables or views that its user may read. Is {name!r} the right one?"
        )
    variables = {
        "SYNC_TOKEN": "the token that clients show. 'airflow-sync token new' makes one, and the entry that may stand in its place"
    }
    variables |= dict.fromkeys(hidden.secrets, "what the URL of the database has in its place, percent-encoded as there")
    return server_text(name, hidden.url, tables, views), variables


def _client(url: str, target: str | None, tls: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the text of a ``client.yaml``, and the values of its variables.

    :param tls: absolute paths, by option of ``client.yaml``
    """
    token = os.environ.get("SYNC_TOKEN") or None
    with SyncClient(
        url, token=token, verify=tls.get("verify", True), certificate=tls.get("certificate"), key=tls.get("key")
    ) as client:
        offered = client.capabilities()
        described = describe_tables(client, offered.tables) if offered else {}
    if offered is None:
        raise ConfigurationError(
            f"What answers at {client.url} is a server of version 1, if it is a sync server, and cannot say what it offers."
            " Check the URL, or write the file by hand."
        )
    variables: dict[str, str] = {}
    if target is None and offered.tables:
        target = "${TARGET_URL}"
        variables["TARGET_URL"] = "the URL of the database that the tables go to"
    hidden = hide_secrets(target or "", "DB")
    variables |= dict.fromkeys(hidden.secrets, "what the URL of the database has in its place, percent-encoded as there")
    folders = {name: str(Path.cwd() / _folder_name(name)) for name in offered.directories}
    answers = {name: described.get(name) for name in offered.tables}
    text = client_text(
        client.url,
        has_token=token is not None,
        tls=tls,
        database=hidden.url or None,
        tables={name: answer if isinstance(answer, str) else None for name, answer in answers.items()},
        directories=folders,
    )
    return text, variables


def _folder_name(name: str) -> str:
    """Return a folder name for a directory: never the current folder, and different for each directory."""
    found = re.sub(r"[^\w.-]|^\.+", "_", name)[:_MAX_FOLDER_NAME]
    return found if found == name and name else f"{found}-{sha256(name.encode()).hexdigest()[:8]}"


def _connection_name(url: str) -> str:
    """Name a connection after its database.

    :param url: without its secrets
    """
    place = url.removeprefix(AIRFLOW_SCHEME).partition("?")[0]
    found = re.sub(r"\W", "_", Path(place.rpartition("/")[2]).stem)
    return found if found.isidentifier() else "source"


def _write(path: Path, text: str, *, force: bool) -> None:
    """Write a file atomically; replace an existing one only with ``force``."""
    unfinished = path.with_name(f".{path.name}.{token_hex(8)}.tmp")
    try:
        try:
            # Do not follow a link that another user has put in its place.
            with unfinished.open("x", encoding="utf-8") as file:
                file.write(text)
            if force:
                unfinished.replace(path)
            else:
                _move_to_new(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise ConfigurationError(f"Cannot write {path}: {error.strerror}. Name another file with --config.") from error


def _move_to_new(unfinished: Path, path: Path) -> None:
    """Move a file to a name that is free.

    :raises FileExistsError: if there is something of that name
    """
    # Not a hard link, which FAT and some network disks and volumes of containers do not have: take the name, then replace that.
    path.open("x").close()
    try:
        unfinished.replace(path)
    except BaseException:
        path.unlink()
        raise


def _exists(path: Path) -> ConfigurationError:
    return ConfigurationError(f"{printable(path)} exists already. Name another file with --config, or replace it with --force.")
