"""The parser of ``airflow-sync``: builds the commands of :mod:`.definition`, and formats their help."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from airflow_provider_sync import __version__
from airflow_provider_sync.cli.definition import COMMANDS, DESCRIPTION, EPILOG
from airflow_provider_sync.cli.terminal.styles import is_styled
from airflow_provider_sync.near_names import near_name
from airflow_provider_sync.printable import printable

PROGRAM = "airflow-sync"
USAGE = 2


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and suggest what was probably meant."""

    def parse_call(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Parse a call of a command; an argument that the command does not have is an error of that command.

        :param arguments: those of the process by default
        """
        given = sys.argv[1:] if arguments is None else list(arguments)
        first = given[0].partition("=")[0] if given else ""
        if any(first in _flags(command) for command in self._commands()) and first not in _flags(self):
            self.error(f"{first} stands before the command. Write it behind, as in '{self.prog} run {first}'")
        options, unknown = self.parse_known_args(given)
        if unknown:
            parser = self._parser_of(options)
            parser.error(f"unrecognized arguments: {' '.join(unknown)}{_meant(unknown[0].partition('=')[0], _flags(parser))}")
        return options

    def _parser_of(self, options: argparse.Namespace) -> argparse.ArgumentParser:
        return next(command for command in self._commands() if command.get_default("module") == options.module)

    def _commands(self) -> Iterable[argparse.ArgumentParser]:
        """Return the parsers of all commands."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                yield from action.choices.values()

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = [str(choice) for choice in action.choices or ()]
        if choices and value not in choices:
            message = f"{printable(value, 100)!r} is not one of {', '.join(choices)}{_meant(str(value), choices)}"
            raise argparse.ArgumentError(action, message)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and how to get help, and exit."""
        self.exit(USAGE, f"{self.prog}: {message}{'' if message.endswith('?') else '.'} See '{self.prog} --help'.\n")


def build_parser() -> Parser:
    """Return the parser of all commands; each sets ``module`` to the module that runs it."""
    parser = Parser(prog=PROGRAM, description=DESCRIPTION, epilog=EPILOG, formatter_class=_help_formatter)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    # Without a `prog`, argparse would format the usage to get it.
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", prog=PROGRAM)
    for command in COMMANDS:
        parsed = commands.add_parser(
            command.name,
            help=command.help,
            description=command.description,
            epilog=command.epilog(PROGRAM),
            formatter_class=_help_formatter,
        )
        for argument in command.arguments:
            argument.add_to(parsed)
        parsed.set_defaults(module=command.module)
    return parser


def _flags(parser: argparse.ArgumentParser) -> list[str]:
    return [flag for action in parser._actions for flag in action.option_strings]


def _meant(given: str, known: Iterable[str]) -> str:
    near = near_name(given, known)
    return "" if near is None else f"; did you mean {near!r}?"


def _help_formatter(**settings: Any) -> argparse.HelpFormatter:
    """Return a formatter that keeps the lines of examples; with colours on a terminal."""
    if is_styled(sys.stdout):
        try:
            from rich_argparse import RawDescriptionRichHelpFormatter
        except ImportError:
            # Airflow, which brings it, is not installed.
            pass
        else:
            return RawDescriptionRichHelpFormatter(**settings)
    return argparse.RawDescriptionHelpFormatter(**settings)
