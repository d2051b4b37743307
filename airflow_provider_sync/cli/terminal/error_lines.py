"""An error on standard error: one line in a log; on a terminal a line, and one with the next step."""

from __future__ import annotations

import sys

from airflow_provider_sync.cli.terminal.styles import STYLES, is_styled, styled_console


def show_error(program: str, message: str, next_step: str | None) -> None:
    """Write an error to standard error.

    :param message: on one line
    :param next_step: what to do about it, such as a command
    """
    error, step = f"{program}: {message}", f"next: {next_step}" if next_step else ""
    if not sys.stderr.isatty():
        print(" ".join(filter(None, [error, step])), file=sys.stderr)
    elif not is_styled(sys.stderr):
        print("\n".join(filter(None, [error, step])), file=sys.stderr)
    else:
        _draw(program, message, next_step)


def _draw(program: str, message: str, next_step: str | None) -> None:
    from rich.text import Text

    console = styled_console(sys.stderr)
    console.print(Text.assemble((f"{program}: ", STYLES["failed"]), message), soft_wrap=True)
    if next_step:
        console.print(Text.assemble(("next: ", STYLES["heading"]), (next_step, STYLES["next"])), soft_wrap=True)
