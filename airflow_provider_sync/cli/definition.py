"""The definitions of all commands and their arguments, for :mod:`.parser` and :mod:`.airflow_group`.

Every ``airflow`` command imports this module, so it uses only the standard library. Each command is implemented in the module of
its name; :mod:`.main` determines the exit code.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_sync.cli.arguments import (
    CLIENT_TLS,
    CONFIG,
    DIRECTORY,
    JSON,
    LOG,
    OUTPUT,
    QUIET,
    SERVER_CONFIG,
    TABLE,
    VERBOSE,
    Argument,
    argument,
    count,
    duration,
    port,
    processes,
)

DESCRIPTION = "Keep tables and directories in step with those of another server."

EPILOG = """first steps:
  airflow-sync demo                          see it work, on data of its own
  airflow-sync init --from DATABASE_URL      beside the source: write a server.yaml
  airflow-sync serve                         offer what it names
  airflow-sync init --client SERVER_URL      beside the target: write a client.yaml
  airflow-sync check --connect               try all that it names
  airflow-sync diff                          see what a run would change
  airflow-sync run                           do it

exit codes: 0 done, 1 differences (diff and doctor), 2 wrong usage or configuration, 3 failed"""

KINDS = ("server", "client")


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    :ivar module: module of this package whose ``main`` takes the parsed arguments and returns the exit code
    :ivar examples: arguments of typical calls, without the command's name
    :ivar config: the kind of configuration that it reads, even without ``--config``; empty if it reads none, or either
    """

    name: str
    module: str
    help: str
    own_arguments: tuple[Argument, ...] = field(default=())
    examples: tuple[str, ...] = ("",)
    config: Literal["", "client", "server"] = ""

    @property
    def description(self) -> str:
        """The help as a sentence."""
        return f"{self.help[0].upper()}{self.help[1:]}."

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The command's own arguments, and those of every command."""
        return (VERBOSE, QUIET, *LOG, *self.own_arguments)

    def epilog(self, program: str) -> str:
        """Return the examples, one line each.

        :param program: ``airflow-sync`` or ``airflow sync``
        """
        title = "example" if len(self.examples) == 1 else "examples"
        return "\n".join([f"{title}:", *(f"  {program} {self.name} {example}".rstrip() for example in self.examples)])


COMMANDS = (
    Command(
        "serve",
        "serve",
        "offer tables and directories to clients",
        (
            SERVER_CONFIG,
            argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"),
            argument("--port", type=port, default=8765, help="port to listen on; 0 takes a free one (default: %(default)s)"),
            argument("--workers", type=processes, metavar="N", help="processes that answer requests (default: as configured)"),
            argument("--watch", action="store_true", help="read the configuration again when the file changes, as at SIGHUP"),
        ),
        examples=(
            "",
            "--config server.yaml --host 0.0.0.0 --port 8765",
        ),
        config="server",
    ),
    Command(
        "run",
        "run",
        "sync everything that the configuration names, or only some of it",
        (
            CONFIG,
            TABLE,
            DIRECTORY,
            argument(
                "--max-deletes",
                metavar="N",
                help="how much this run may delete of each table and directory, such as 100%% or 1000 (default: as configured)",
            ),
            argument("--allow-empty-source", action="store_true", help="let an empty source empty the target in this run"),
            OUTPUT,
            JSON,
            argument("--dry-run", action="store_true", help="report what would change, and write nothing"),
        ),
        examples=(
            "",
            "--table orders --dry-run",
            "--table orders --max-deletes 5000",
            "--output json",
        ),
        config="client",
    ),
    Command(
        "pull",
        "pull",
        "copy one directory of a server, without a configuration file",
        (
            argument("url", metavar="URL", help="base URL of the server, such as https://source.example/api/sync"),
            argument("name", metavar="NAME", help="name under which the server offers the directory"),
            argument("folder", metavar="FOLDER", help="where to keep it: a local path, or a URL of object storage"),
            argument(
                "--token-file", metavar="FILE", help="file with the token (default: the environment variable SYNC_TOKEN, if set)"
            ),
            *CLIENT_TLS,
            argument("--include", action="append", default=[], metavar="PATTERN", help="only these files; may be repeated"),
            argument("--exclude", action="append", default=[], metavar="PATTERN", help="not these files; may be repeated"),
            argument("--prefix", metavar="FOLDER", help="only what is below this folder of the source"),
            argument(
                "--delete",
                action=argparse.BooleanOptionalAction,
                default=False,
                help="delete what the source does not have, last and within --max-deletes (default: keep it)",
            ),
            argument("--max-deletes", metavar="N", help="how much may be deleted, such as 50%% or 1000 (default: 50%%)"),
            argument("--allow-empty-source", action="store_true", help="let an empty source empty the folder"),
            argument(
                "--checksum",
                choices=("cached", "always", "never"),
                metavar="WHEN",
                default="cached",
                help="how files are compared: by digests from the cache (cached), by digests read anew (always), or by size and"
                " time (never; default: %(default)s)",
            ),
            argument(
                "--links",
                choices=("skip", "keep", "follow"),
                metavar="HOW",
                default="skip",
                help="how to treat symbolic links: skip, keep or follow (default: %(default)s)",
            ),
            argument("--permissions", action="store_true", help="keep permission bits"),
            argument("--dry-run", action="store_true", help="report what would change, and write nothing"),
            OUTPUT,
            JSON,
        ),
        examples=("https://source.example/api/sync images ./images",),
    ),
    Command(
        "diff",
        "diff",
        "show what a run would change; exit code 1 if anything differs",
        (
            CONFIG,
            TABLE,
            DIRECTORY,
            OUTPUT,
            JSON,
            argument(
                "--keys",
                type=count,
                default=20,
                metavar="N",
                help="maximum number of keys or paths to show for each table or directory (default: %(default)s)",
            ),
        ),
        examples=(
            "",
            "--table orders --keys 100",
        ),
        config="client",
    ),
    Command(
        "doctor",
        "doctor",
        "explain why tables differ although they look alike; exit code 1 if any does",
        (CONFIG, TABLE, OUTPUT, JSON),
        examples=("--table orders",),
        config="client",
    ),
    Command(
        "check",
        "check",
        "find what is wrong with a configuration file; exit code 2 if anything is",
        (
            argument(
                "--config",
                metavar="FILE",
                help="server.yaml or client.yaml (default: AIRFLOW_SYNC_CONFIG, or the one that is in this folder)",
            ),
            argument("--as", dest="kind", choices=KINDS, metavar="KIND", help="server or client, if the options do not show it"),
            argument("--connect", action="store_true", help="also try what the file names; exit code 3 if anything fails"),
            argument("--schema", choices=KINDS, metavar="KIND", help="print the JSON Schema of a server or client file"),
        ),
        examples=("--config client.yaml --connect",),
    ),
    Command(
        "init",
        "init",
        "write a first server.yaml from a database, or a client.yaml from a server",
        (
            argument("--from", dest="database", metavar="DATABASE_URL", help="make a server.yaml of the tables of this database"),
            argument("--client", metavar="SERVER_URL", help="make a client.yaml of what this server offers (token: SYNC_TOKEN)"),
            argument("--to", dest="target", metavar="DATABASE_URL", help="database that the tables of a client.yaml go to"),
            *CLIENT_TLS,
            argument("--config", metavar="FILE", help="file to write (default: server.yaml or client.yaml, here)"),
            argument("--force", action="store_true", help="replace a file that is there"),
        ),
        examples=(
            "--from 'mysql://reader:${DB_PASSWORD}@localhost/shop'",
            "--client https://source.example/api/sync",
        ),
    ),
    Command(
        "token",
        "new_token",
        "make a token, and print the entries for the server and the client",
        (
            argument("action", choices=("new",), metavar="new", help="make a new token"),
            argument("--name", metavar="NAME", help="what the server's log calls it"),
            argument("--expires", metavar="DATE", help="last day on which it is valid, such as 2027-01-31 (default: no end)"),
            argument(
                "--address",
                action="append",
                default=[],
                metavar="NETWORK",
                help="only from this address or network, such as 192.0.2.0/24; may be repeated",
            ),
            OUTPUT,
            JSON,
        ),
        examples=("new --name warehouse --expires 2027-01-31",),
    ),
    Command(
        "list",
        "listing",
        "list the tables and directories that the server offers, with sizes and keys",
        (
            CONFIG,
            argument(
                "--sizes",
                action=argparse.BooleanOptionalAction,
                default=None,
                help="ask for the size and the key of each table (default: yes, and with --json no)",
            ),
            OUTPUT,
            JSON,
        ),
        examples=(
            "",
            "--output json",
        ),
        config="client",
    ),
    Command(
        "clean",
        "clean",
        "remove what interrupted syncs left behind",
        (
            CONFIG,
            argument(
                "--older-than",
                type=duration,
                default="1d",
                metavar="AGE",
                help="minimum age, such as 30m, 12h or 1d (default: %(default)s)",
            ),
        ),
        examples=("--older-than 12h",),
        config="client",
    ),
    Command(
        "completion",
        "completion",
        "print the code for completion of commands, options and names in a shell",
        (argument("shell", choices=("bash", "zsh", "fish"), metavar="SHELL", help="bash, zsh or fish"),),
        examples=("bash > ~/.local/share/bash-completion/completions/airflow-sync",),
    ),
    Command(
        "demo",
        "demo",
        "sync a real table and a real directory, change them, and sync them again",
        (argument("--keep", metavar="DIRECTORY", help="create this folder and keep databases, files and configuration in it"),),
        examples=("--keep ./demo",),
    ),
)
