"""``airflow-sync`` and ``airflow sync``: arguments in, exit code out.

Exit codes: 0 done, 1 differences (only ``diff`` and ``doctor``), 2 wrong usage or configuration, 3 a sync failed or anything
unexpected, 129, 130 and 143 ended by SIGHUP, by Ctrl-C and by SIGTERM. The arguments are in :mod:`.definition`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from importlib import import_module
from typing import NoReturn

from airflow_provider_sync import __version__
from airflow_provider_sync.cancellation import SyncCancelled, cancelled_by_signals
from airflow_provider_sync.cli.definition import COMMANDS, DESCRIPTION
from airflow_provider_sync.cli.log_options import log_settings
from airflow_provider_sync.cli.standard_streams import give_up, open_standard_streams
from airflow_provider_sync.exceptions import ConfigurationError, SyncError, SyncFailed
from airflow_provider_sync.logs.configuration import configured_logs
from airflow_provider_sync.printable import reason
from airflow_provider_sync.redaction import redact

DONE, DIFFERENT, USAGE, FAILED = 0, 1, 2, 3
ENDED_BY_SIGNAL = 128
"""Added to the number of the signal that ended a command to get its exit code, as shells do."""

SERVER = "serve"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command of ``airflow-sync``.

    :param arguments: those of the process by default
    :return: the exit code
    """
    open_standard_streams()
    options = build_parser().parse_args(arguments)
    return _run(options.module, options, "airflow-sync")


def run_for_airflow(module: str, options: argparse.Namespace) -> NoReturn:
    """Run one command of ``airflow sync`` and end the process with its exit code.

    Airflow has already set up its logging to write to standard output. From here on, what it logs goes to standard error, since
    standard output is for results.

    :param options: as Airflow parsed them
    """
    sys.stdout.flush()
    results = os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding)
    os.dup2(2, 1)
    sys.stdout = results
    code = _run(module, options, "airflow sync")
    results.flush()
    sys.exit(code)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all errors are."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and how to get help, and exit."""
        self.exit(USAGE, f"{self.prog}: {message}. See '{self.prog} --help'.\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; each sets ``module`` to the module that runs it."""
    parser = _Parser(prog="airflow-sync", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        parsed = commands.add_parser(command.name, help=command.help, description=command.description)
        for argument in command.arguments:
            parsed.add_argument(argument.flag, **argument.options)
        parsed.set_defaults(module=command.module)
    return parser


def _run(module: str, options: argparse.Namespace, program: str) -> int:
    with configured_logs(log_settings(options)):
        return _ended(module, options, program)


def _ended(module: str, options: argparse.Namespace, program: str) -> int:
    """Run a command to its end, whatever that is, and return the exit code."""
    try:
        # The server handles signals itself.
        with nullcontext() if module == SERVER else cancelled_by_signals():
            code: int = import_module(f"airflow_provider_sync.cli.{module}").main(options)
        sys.stdout.flush()
    except ConfigurationError as error:
        return _fail(error, USAGE, program, verbose=options.verbose)
    except KeyboardInterrupt as ended:
        number = ended.number if isinstance(ended, SyncCancelled) else signal.SIGINT
        print(f"{program}: ended by {signal.Signals(number).name}. The next run does what was not finished.", file=sys.stderr)
        return ENDED_BY_SIGNAL + number
    except BrokenPipeError:
        # The reader of the results, such as `head`, has gone. Python must not fail again on what it still has to write.
        give_up(sys.stdout)
        return FAILED
    except SyncFailed as error:
        return _fail(error, FAILED, program, verbose=options.verbose, shown=_on_one_terminal() and not options.json)
    except SyncError as error:
        return _fail(error, FAILED, program, verbose=options.verbose)
    except Exception as error:  # noqa: BLE001  # the last line of defence: a command answers with one line and a code, whatever happens
        return _fail(error, FAILED, program, verbose=options.verbose)
    return code


def _on_one_terminal() -> bool:
    return sys.stdout.isatty() and sys.stderr.isatty()


def _fail(error: Exception, code: int, program: str, *, verbose: bool, shown: bool = False) -> int:
    if verbose:
        print(redact("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    # A message with a CREATE TABLE, or a parser's message, may have several lines.
    message = " ".join(str(error).split())
    if shown and isinstance(error, SyncFailed):
        # The table above shows the reasons, each with its name.
        failed = sum(report.status == "failed" for report in error.reports)
        message = f"{failed} of {len(error.reports)} failed, see above."
    if not isinstance(error, SyncError):
        # A bug: whoever reports it needs the name of its class.
        message = f"An unexpected error, {type(error).__name__}: {reason(error)}. "
        message += "Please report it." if verbose else "Run it again with --verbose to see where, and report it."
    # If nothing can be written, the exit code has to do.
    with suppress(OSError):
        print(redact(f"{program}: {message}"), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
