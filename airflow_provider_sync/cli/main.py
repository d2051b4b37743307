"""``airflow-sync`` and ``airflow sync``: arguments in, exit code out.

Exit codes: 0 done, 1 differences (only ``diff`` and ``doctor``), 2 wrong usage or configuration, 3 a sync failed or anything
unexpected, 129, 130 and 143 ended by SIGHUP, by Ctrl-C and by SIGTERM. The arguments are in :mod:`.definition`.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from airflow_provider_sync.cancellation import SyncCancelled, cancelled_by_signals, notes_of
from airflow_provider_sync.cli.config_places import is_there, require_config
from airflow_provider_sync.cli.definition import COMMANDS, Command
from airflow_provider_sync.cli.log_options import log_settings
from airflow_provider_sync.cli.next_steps import Call, next_step
from airflow_provider_sync.cli.parser import build_parser
from airflow_provider_sync.cli.run_log import is_asked_for
from airflow_provider_sync.cli.terminal.error_lines import lines_of_failed, show_errors
from airflow_provider_sync.cli.terminal.output import Output
from airflow_provider_sync.cli.terminal.standard_streams import give_up, open_standard_streams
from airflow_provider_sync.exceptions import ConfigurationError, SyncError, SyncFailed
from airflow_provider_sync.logs.configuration import configured_logs
from airflow_provider_sync.printable import printable_traceback, reason
from airflow_provider_sync.redaction import redact

log = logging.getLogger(__name__)

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
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:
        from airflow_provider_sync.cli.completion import complete

        complete(parser)
    options = parser.parse_call(arguments)
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


def _run(module: str, options: argparse.Namespace, program: str) -> int:
    (command,) = (command for command in COMMANDS if command.module == module)
    options.program = program
    named = getattr(options, "config", None) or ""
    call = Call(program, command.name, command.config, named if is_there(Path(named)) else "", named=True)
    with configured_logs(log_settings(options)):
        return _ended(command, options, call)


def _ended(command: Command, options: argparse.Namespace, call: Call) -> int:
    """Run a command to its end, whatever that is, and return the exit code."""
    program = call.program
    try:
        if command.config and not options.config:
            options.config = require_config(command.config)
            call = replace(call, config=options.config, named=False)
        if options.verbose and call.config:
            print(f"{program}: using the configuration {call.config}", file=sys.stderr)
        # The server handles signals itself.
        with nullcontext() if command.name == SERVER else cancelled_by_signals():
            code: int = import_module(f"airflow_provider_sync.cli.{command.module}").main(options)
        sys.stdout.flush()
    except KeyboardInterrupt as ended:
        number = ended.number if isinstance(ended, SyncCancelled) else signal.SIGINT
        message = f"Ended by {signal.Signals(number).name}.{notes_of(ended)} The next run does what was not finished."
        _log_end(message, options)
        print(f"{program}: {message[0].lower()}{message[1:]}", file=sys.stderr)
        return ENDED_BY_SIGNAL + number
    except BrokenPipeError:
        # The reader of the results, such as `head`, has gone. Python must not fail again when it flushes the rest.
        give_up(sys.stdout)
        return FAILED
    except Exception as error:  # noqa: BLE001  # the last line of defence: a command answers with one line and a code, whatever happens
        if options.verbose:
            print(redact(printable_traceback(error)), file=sys.stderr)
        _log_end(_log_message(error, options), options)
        # If nothing can be written, the exit code must suffice.
        with suppress(OSError):
            sys.stdout.flush()  # the table of results comes first
            show_errors(program, [redact(message) for message in _messages(error, options)], next_step(error, call))
        return USAGE if isinstance(error, ConfigurationError) else FAILED
    return code


def _log_end(message: str, options: argparse.Namespace) -> None:
    if is_asked_for(options):
        log.error("%s", message)


def _log_message(error: Exception, options: argparse.Namespace) -> str:
    """Return the log's last line about an error; failed tables and directories have a line each already."""
    if isinstance(error, SyncFailed) and error.reports:
        return f"{sum(report.status == 'failed' for report in error.reports)} of {len(error.reports)} failed."
    return _message(error, options)


def _messages(error: Exception, options: argparse.Namespace) -> list[str]:
    """Return the lines of an error: one for each failed table and directory, or a single line if the output is data."""
    if isinstance(error, SyncFailed) and not Output.of(options).takes_data:
        return lines_of_failed(error)
    return [_message(error, options)]


def _message(error: Exception, options: argparse.Namespace) -> str:
    """Return an error's message in one line."""
    if isinstance(error, SyncError):
        # A message with a CREATE TABLE, or a parser's message, may have several lines.
        return " ".join(str(error).split())
    # A bug: a report of it needs the name of the class.
    remedy = "Please report it." if options.verbose else "Run it again with --verbose to see where, and report it."
    return f"An unexpected error, {type(error).__name__}: {reason(error)}. {remedy}"


if __name__ == "__main__":
    sys.exit(main())
