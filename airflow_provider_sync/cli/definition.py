"""The commands and their arguments, written down once: for ``airflow-sync``, and for ``airflow sync``.

Every ``airflow`` command imports this module, so that it needs the standard library only. What a command does is in the
module of its name; how it ends is in :mod:`.main`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.cli.cli_config import GroupCommand

DESCRIPTION = "Keep tables and directories in step with those of another server."


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument.

    :ivar flag: such as ``--config``
    :ivar options: those of ``ArgumentParser.add_argument``
    """

    flag: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    :ivar module: of this package; its ``main`` takes the parsed arguments and returns the exit code
    """

    name: str
    module: str
    help: str
    own_arguments: tuple[Argument, ...] = field(default=())

    @property
    def description(self) -> str:
        """The help as a sentence."""
        return f"{self.help[0].upper()}{self.help[1:]}."

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Its own arguments, and those that every command has."""
        return (_argument("--verbose", action="store_true", help="show the traceback of an error"), *_LOG, *self.own_arguments)


def get_airflow_commands() -> list[GroupCommand]:
    """Return the group ``airflow sync``; Airflow 3.2 and newer call this because the provider's metadata names it."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    def convert(command: Command) -> ActionCommand:
        return ActionCommand(
            name=command.name,
            help=command.description,
            func=partial(_run_for_airflow, command.module),
            args=tuple(Arg((argument.flag,), **argument.options) for argument in command.arguments),
        )

    return [GroupCommand(name="sync", help=DESCRIPTION, subcommands=[convert(command) for command in COMMANDS])]


def _run_for_airflow(module: str, options: argparse.Namespace) -> None:
    from airflow_provider_sync.cli.main import run_for_airflow

    run_for_airflow(module, options)


def _argument(flag: str, **options: Any) -> Argument:
    return Argument(flag, options)


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, 0 or more")
    return int(text)


def _duration(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.replace(".", "", 1).isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not an age such as 30m, 12h or 1d")
    return float(number) * units[unit]


_LOG = (
    _argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        metavar="LEVEL",
        help="lowest level that is logged: debug, info, warning or error (default: warning; for serve what server.yaml says, or"
        " info)",
    ),
    _argument("--log-format", choices=("text", "json"), metavar="FORMAT", help="format of the log: text or json (default: text)"),
    _argument("--log-file", metavar="FILE", help="append the log to this file, with rotation, instead of standard error"),
)

_CONFIG = _argument("--config", required=True, metavar="FILE", help="configuration of the client (client.yaml)")
_TABLE = _argument("--table", action="append", default=[], metavar="NAME", help="only this table; may be repeated")
_DIRECTORY = _argument("--directory", action="append", default=[], metavar="NAME", help="only this directory; may be repeated")
_JSON = _argument("--json", action="store_true", help="print JSON on standard output, and nothing else there")

_KINDS = ("server", "client")

COMMANDS = (
    Command(
        "serve",
        "serve",
        "offer tables and directories to clients",
        (
            _argument("--config", required=True, metavar="FILE", help="configuration of the server (server.yaml)"),
            _argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"),
            _argument("--port", type=_port, default=8765, help="port to listen on; 0 takes a free one (default: %(default)s)"),
        ),
    ),
    Command(
        "run",
        "run",
        "sync everything that the configuration names, or only some of it",
        (
            _CONFIG,
            _TABLE,
            _DIRECTORY,
            _JSON,
            _argument("--dry-run", action="store_true", help="report what would change, and write nothing"),
        ),
    ),
    Command(
        "pull",
        "pull",
        "copy one directory of a server, without a configuration file",
        (
            _argument("url", metavar="URL", help="base URL of the server, such as https://source.example/api/sync"),
            _argument("name", metavar="NAME", help="name under which the server offers the directory"),
            _argument("folder", metavar="FOLDER", help="where to keep it: a local path, or a URL of object storage"),
            _argument(
                "--token-file", metavar="FILE", help="file with the token (default: the environment variable SYNC_TOKEN, if set)"
            ),
            _argument("--include", action="append", default=[], metavar="PATTERN", help="only these files; may be repeated"),
            _argument("--exclude", action="append", default=[], metavar="PATTERN", help="not these files; may be repeated"),
            _argument("--prefix", metavar="FOLDER", help="only what is below this folder of the source"),
            _argument(
                "--delete",
                action=argparse.BooleanOptionalAction,
                default=False,
                help="delete what the source does not have, last and within --max-deletes (default: keep it)",
            ),
            _argument("--max-deletes", metavar="N", help="how much may be deleted, such as 50%% or 1000 (default: 50%%)"),
            _argument("--allow-empty-source", action="store_true", help="let an empty source empty the folder"),
            _argument(
                "--checksum",
                choices=("cached", "always", "never"),
                metavar="WHEN",
                default="cached",
                help="how files are compared: by digests from the cache (cached), by digests read anew (always), or by size and"
                " time (never; default: %(default)s)",
            ),
            _argument(
                "--links",
                choices=("skip", "keep", "follow"),
                metavar="HOW",
                default="skip",
                help="what becomes of symbolic links: skip, keep or follow (default: %(default)s)",
            ),
            _argument("--permissions", action="store_true", help="keep permission bits"),
            _argument("--dry-run", action="store_true", help="report what would change, and write nothing"),
            _JSON,
        ),
    ),
    Command(
        "diff",
        "diff",
        "show what a run would change; exit code 1 if anything differs",
        (
            _CONFIG,
            _TABLE,
            _DIRECTORY,
            _JSON,
            _argument(
                "--keys",
                type=_count,
                default=20,
                metavar="N",
                help="maximum number of keys or paths to show for each table or directory (default: %(default)s)",
            ),
        ),
    ),
    Command(
        "doctor",
        "doctor",
        "explain why tables differ although they look alike; exit code 1 if any does",
        (_CONFIG, _TABLE, _JSON),
    ),
    Command(
        "check",
        "check",
        "find what is wrong with a configuration file; exit code 2 if anything is",
        (
            _argument("--config", metavar="FILE", help="server.yaml or client.yaml"),
            _argument(
                "--as", dest="kind", choices=_KINDS, metavar="KIND", help="server or client, if the options do not show it"
            ),
            _argument("--connect", action="store_true", help="also try what the file names; exit code 3 if anything fails"),
            _argument("--schema", choices=_KINDS, metavar="KIND", help="print the JSON Schema of a server or client file"),
        ),
    ),
    Command(
        "init",
        "init",
        "write a first server.yaml from a database, or a client.yaml from a server",
        (
            _argument(
                "--from", dest="database", metavar="DATABASE_URL", help="make a server.yaml of the tables of this database"
            ),
            _argument("--client", metavar="SERVER_URL", help="make a client.yaml of what this server offers (token: SYNC_TOKEN)"),
            _argument("--to", dest="target", metavar="DATABASE_URL", help="database that the tables of a client.yaml go to"),
            _argument("--config", metavar="FILE", help="file to write (default: server.yaml or client.yaml, here)"),
            _argument("--force", action="store_true", help="replace a file that is there"),
        ),
    ),
    Command(
        "token",
        "new_token",
        "make a token, and print what the server and the client need of it",
        (
            _argument("action", choices=("new",), metavar="new", help="make a new token"),
            _argument("--name", metavar="NAME", help="what the server's log calls it"),
            _argument("--expires", metavar="DATE", help="last day on which it counts, such as 2027-01-31 (default: no end)"),
            _argument(
                "--address",
                action="append",
                default=[],
                metavar="NETWORK",
                help="only from this address or network, such as 192.0.2.0/24; may be repeated",
            ),
            _JSON,
        ),
    ),
    Command(
        "list",
        "listing",
        "list the tables and directories that the server offers, with sizes and keys",
        (
            _CONFIG,
            _argument(
                "--sizes",
                action=argparse.BooleanOptionalAction,
                default=None,
                help="ask for the size and the key of each table (default: yes, and with --json no)",
            ),
            _JSON,
        ),
    ),
    Command(
        "clean",
        "clean",
        "remove what interrupted syncs left behind",
        (
            _CONFIG,
            _argument(
                "--older-than",
                type=_duration,
                default="1d",
                metavar="AGE",
                help="minimum age, such as 30m, 12h or 1d (default: %(default)s)",
            ),
        ),
    ),
    Command(
        "demo",
        "demo",
        "sync a real table and a real directory, change them, and sync them again",
        (_argument("--keep", metavar="DIRECTORY", help="create this folder and keep databases, files and configuration in it"),),
    ),
)
