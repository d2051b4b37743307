"""``airflow-sync``: arguments in, exit code out.

Exit codes: 0 done, 1 differences (only ``diff`` and ``doctor``), 2 wrong usage or configuration, 3 a sync failed or anything
unexpected.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from airflow_provider_sync import __version__
from airflow_provider_sync.exceptions import ConfigurationError, SyncError

DONE, DIFFERENT, USAGE, FAILED = 0, 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    :param arguments: those of the process by default
    :return: the exit code
    """
    options = build_parser().parse_args(arguments)
    try:
        code: int = import_module(options.module).main(options)
    except ConfigurationError as error:
        return _fail(error, USAGE, verbose=options.verbose)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return FAILED
    except SyncError as error:
        return _fail(error, FAILED, verbose=options.verbose)
    except Exception as error:  # noqa: BLE001  # the last line of defence: a command answers with one line and a code, whatever happens
        return _fail(error, FAILED, verbose=options.verbose)
    return code


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all errors are."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the usage is to be found, and end."""
        self.exit(USAGE, f"{self.prog}: {message}. See '{self.prog} --help'.\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; each names the module that runs it."""
    parser = _Parser(prog="airflow-sync", description="Keep tables and directories in step with those of another server.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve = _command(commands, "serve", "serve", "offer tables and directories to clients")
    serve.add_argument("--config", required=True, metavar="FILE", help="server.yaml")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=_port, default=8765, help="port to listen on; 0 takes a free one (default: %(default)s)")

    run = _command(commands, "run", "run", "synchronise everything, or only what is named")
    _add_selection(run)
    run.add_argument("--dry-run", action="store_true", help="report what would change, and write nothing")

    diff = _command(commands, "diff", "diff", "show what a run would change; exit 1 when anything differs")
    _add_selection(diff)
    diff.add_argument("--keys", type=int, default=20, metavar="N", help="most keys to show of each table (default: %(default)s)")

    doctor = _command(commands, "doctor", "doctor", "explain why tables differ although they look alike; exit 1 when any does")
    doctor.add_argument("--config", required=True, metavar="FILE", help="client.yaml")
    doctor.add_argument("--table", action="append", default=[], metavar="NAME", help="only this table; may be repeated")
    doctor.add_argument("--json", action="store_true", help="print JSON")

    listing = _command(commands, "list", "listing", "list the tables and directories that the server offers")
    listing.add_argument("--config", required=True, metavar="FILE", help="client.yaml")
    listing.add_argument("--json", action="store_true", help="print JSON")

    clean = _command(commands, "clean", "clean", "remove what interrupted syncs left behind")
    clean.add_argument("--config", required=True, metavar="FILE", help="client.yaml")
    clean.add_argument(
        "--older-than", type=_duration, default="1d", metavar="AGE", help="such as 30m, 12h or 1d (default: %(default)s)"
    )

    demo = _command(commands, "demo", "demo", "watch a real table and a real directory arrive, change and arrive again")
    demo.add_argument("--keep", metavar="DIRECTORY", help="keep databases, files and configuration there to play with")
    return parser


def _command(commands: argparse._SubParsersAction[_Parser], name: str, module: str, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.add_argument("--verbose", action="store_true", help="show the traceback of an error")
    command.set_defaults(module=f"airflow_provider_sync.cli.{module}")
    return command


def _add_selection(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", required=True, metavar="FILE", help="client.yaml")
    command.add_argument("--table", action="append", default=[], metavar="NAME", help="only this table; may be repeated")
    command.add_argument("--directory", action="append", default=[], metavar="NAME", help="only this directory; may be repeated")
    command.add_argument("--json", action="store_true", help="print one JSON array of reports on standard output")


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def _duration(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.replace(".", "", 1).isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not an age such as 30m, 12h or 1d")
    return float(number) * units[unit]


def _fail(error: Exception, code: int, *, verbose: bool) -> int:
    if verbose:
        traceback.print_exception(error)
    # A statement to run, or a parser's message, may have several lines.
    message = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, SyncError):
        message = f"{type(error).__name__}: {message}"
        message += "" if verbose else " (run again with --verbose to see where)"
    print(f"airflow-sync: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
