"""Arguments of commands: their definition, the parsing of their values, and the arguments that several commands share.

Every ``airflow`` command imports this module, so that it needs the standard library only.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Completed = Literal["", "table", "directory"]
"""The kind of configured names that a shell completes a value to; empty for names of files."""


_DIGITS = re.compile(r"[0-9]{1,18}")
_MAX_COUNT = 1_000_000_000

# As the options of the files have them; importing their models would slow down every command and completion.
_MAX_PROCESSES = 1_000
_MAX_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument.

    :ivar flags: such as ``--config``, the long form first
    :ivar options: those of ``ArgumentParser.add_argument``
    """

    flags: tuple[str, ...]
    options: Mapping[str, Any]
    completed: Completed = ""

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Add the argument to a parser, with its ``completer``, which argcomplete calls."""
        action = parser.add_argument(*self.flags, **self.options)
        if self.completed and "_ARGCOMPLETE" in os.environ:
            from airflow_provider_sync.cli.completion import COMPLETERS

            action.completer = COMPLETERS[self.completed]  # type: ignore[attr-defined]  # argcomplete's


def argument(*flags: str, completed: Completed = "", **options: Any) -> Argument:
    """Return an argument."""
    return Argument(flags, options, completed)


class _AsJson(argparse.Action):
    """``--json``: short for ``--output json``."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:  # noqa: A002  # argparse's name
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object, option_string: str | None = None
    ) -> None:
        setattr(namespace, self.dest, "json")


def port(text: str) -> int:
    """Parse a port number."""
    if not _DIGITS.fullmatch(text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{_shown(text)} is not a port from 0 to 65535")
    return int(text)


def count(text: str) -> int:
    """Parse a whole number that is not negative."""
    if not _DIGITS.fullmatch(text) or int(text) > _MAX_COUNT:
        raise argparse.ArgumentTypeError(f"{_shown(text)} is not a number from 0 to {_MAX_COUNT}")
    return int(text)


def processes(text: str) -> int:
    """Parse a number of processes."""
    if not _DIGITS.fullmatch(text) or not 1 <= int(text) <= _MAX_PROCESSES:
        raise argparse.ArgumentTypeError(f"{_shown(text)} is not a number from 1 to {_MAX_PROCESSES}")
    return int(text)


def duration(text: str) -> float:
    """Parse a duration, and return it in seconds."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    match = re.fullmatch(r"([0-9]{0,18}\.?[0-9]{0,18})([smhd])", text)
    if match is None or not match[1].strip(".") or (seconds := float(match[1]) * units[match[2]]) > _MAX_DAYS * units["d"]:
        raise argparse.ArgumentTypeError(f"{_shown(text)} is not an age up to {_MAX_DAYS}d, such as 30m, 12h or 1d")
    return seconds


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


VERBOSE = argument(
    "--verbose", "-v", action="store_true", help="name the configuration that is used, and show an error's traceback"
)
QUIET = argument("--quiet", "-q", action="store_true", help="show errors only; with --output json or yaml also the data")
LOG = (
    argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        metavar="LEVEL",
        help="lowest level that is logged: debug, info, warning or error (default: warning; for serve what server.yaml says, or"
        " info)",
    ),
    argument("--log-format", choices=("text", "json"), metavar="FORMAT", help="format of the log: text or json (default: text)"),
    argument("--log-file", metavar="FILE", help="append the log to this file, with rotation, instead of standard error"),
)
CONFIG = argument(
    "--config",
    metavar="FILE",
    help="configuration of the client (default: AIRFLOW_SYNC_CONFIG, ./client.yaml or ~/.config/airflow-sync/client.yaml)",
)
SERVER_CONFIG = argument(
    "--config",
    metavar="FILE",
    help="configuration of the server (default: AIRFLOW_SYNC_CONFIG, ./server.yaml or ~/.config/airflow-sync/server.yaml)",
)
TABLE = argument(
    "--table", completed="table", action="append", default=[], metavar="NAME", help="only this table; may be repeated"
)
DIRECTORY = argument(
    "--directory", completed="directory", action="append", default=[], metavar="NAME", help="only this directory; may be repeated"
)
CLIENT_TLS = (
    argument("--verify", metavar="FILE", help="certificates of the authorities that the server's is checked against"),
    argument("--certificate", metavar="FILE", help="certificate of this client, for servers that want one"),
    argument("--key", metavar="FILE", help="its private key (default: in the file of the certificate)"),
)
OUTPUT = argument(
    "--output",
    "-o",
    choices=("table", "plain", "json", "yaml"),
    default="table",
    metavar="FORM",
    help="form of the results: table, plain, json or yaml (default: %(default)s)",
)
JSON = argument("--json", dest="output", action=_AsJson, help="the same as --output json")
