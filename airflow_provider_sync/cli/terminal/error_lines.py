"""Write errors to standard error, a line each, with the next step; on a terminal the next step has a line of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from airflow_provider_sync.cli.terminal.styles import STYLES, is_styled, styled_console
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.printable import printable

MAX_NAMES = 5
"""Most table names shown before an error that several tables share."""


def lines_of_failed(error: SyncFailed) -> list[str]:
    """Return a line for each different error of a run, which begins with the names of the tables and directories that have it."""
    names: dict[str, list[str]] = {}
    for report in error.reports:
        if report.error:
            names.setdefault(_on_one_line(report.error), []).append(printable(report.name))
    reported = "\n".join(names)
    # An error that belongs to no table, such as a database that cannot be opened to drop tables.
    others = [line for failure in error.failures if (line := _on_one_line(str(failure))) not in reported]
    return [*(f"{_listed(of)}: {line}" for line, of in names.items()), *dict.fromkeys(others)]


def _on_one_line(message: str) -> str:
    # A message with a CREATE TABLE has several lines.
    return " ".join(message.split())


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"{', '.join(names[:MAX_NAMES])}{more}"


def show_errors(program: str, messages: Sequence[str], next_step: str | None) -> None:
    """Write errors to standard error.

    :param messages: each on one line
    :param next_step: what to do about them, such as a command
    """
    errors, step = [f"{program}: {message}" for message in messages], f"next: {next_step}" if next_step else ""
    if not sys.stderr.isatty():
        print("\n".join([*errors[:-1], " ".join(filter(None, [*errors[-1:], step]))]), file=sys.stderr)
    elif not is_styled(sys.stderr):
        print("\n".join(filter(None, [*errors, step])), file=sys.stderr)
    else:
        _draw(program, messages, next_step)


def _draw(program: str, messages: Sequence[str], next_step: str | None) -> None:
    from rich.text import Text

    console = styled_console(sys.stderr)
    for message in messages:
        console.print(Text.assemble((f"{program}: ", STYLES["failed"]), message), soft_wrap=True)
    if next_step:
        console.print(Text.assemble(("next: ", STYLES["heading"]), (next_step, STYLES["next"])), soft_wrap=True)
