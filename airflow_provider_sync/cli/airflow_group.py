"""The group ``airflow sync``: the commands of :mod:`.definition` inside Airflow's own command line.

Every ``airflow`` command imports this module, so that it needs the standard library only.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_sync.cli.arguments import Argument
from airflow_provider_sync.cli.definition import COMMANDS, DESCRIPTION, Command

if TYPE_CHECKING:
    from airflow.cli.cli_config import GroupCommand


def get_airflow_commands() -> list[GroupCommand]:
    """Return the group ``airflow sync``; Airflow 3.2 and newer call this because the provider's metadata names it."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    class CompletedArg(Arg):
        """An Airflow command argument that also registers its shell completion with the parser."""

        def __init__(self, argument: Argument) -> None:
            super().__init__(argument.flags, **argument.options)  # type: ignore[no-untyped-call]  # Airflow's
            self._argument = argument

        def add_to_parser(self, parser: argparse.ArgumentParser) -> None:
            self._argument.add_to(parser)

    def convert(command: Command) -> ActionCommand:
        return ActionCommand(
            name=command.name,
            help=command.description,
            epilog=command.epilog("airflow sync"),
            func=partial(_run_for_airflow, command.module),
            args=tuple(CompletedArg(argument) for argument in command.arguments),
        )

    return [GroupCommand(name="sync", help=DESCRIPTION, subcommands=[convert(command) for command in COMMANDS])]


def _run_for_airflow(module: str, options: argparse.Namespace) -> None:
    from airflow_provider_sync.cli.main import run_for_airflow

    run_for_airflow(module, options)
