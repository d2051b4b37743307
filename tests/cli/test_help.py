"""``--help``: an example of each command, and all of them can be called."""

from __future__ import annotations

import shlex

import pytest

from airflow_provider_sync.cli.definition import COMMANDS, EPILOG, Command
from airflow_provider_sync.cli.main import main
from airflow_provider_sync.cli.parser import build_parser
from tests.cli.terminal.pseudo_terminal import on_a_terminal


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_examples(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of each command ends with examples, and each of them is a valid call."""
    with pytest.raises(SystemExit):
        main([command.name, "--help"])
    _, _, examples = capsys.readouterr().out.partition("\nexample")
    calls = [line for line in examples.splitlines() if line.startswith("  ")]
    assert calls
    for call in calls:
        program, *arguments = shlex.split(call, comments=False)
        assert program == "airflow-sync"
        build_parser().parse_args(arguments[: arguments.index(">")] if ">" in arguments else arguments)


def test_first_steps() -> None:
    """The help of the program leads from the demo to the first run, by existing commands."""
    steps = [line.split("  ")[1] for line in EPILOG.splitlines() if line.startswith("  ")]
    assert steps[-1] == "airflow-sync run"
    for step in steps:
        build_parser().parse_args(shlex.split(step)[1:])


def test_colours() -> None:
    """On a terminal the help has colours, and as many lines of examples; with NO_COLOR it has none."""
    shown = on_a_terminal("run", "--help")
    assert "\x1b[" in shown.text
    plain = on_a_terminal("run", "--help", NO_COLOR="1")
    assert "\x1b[" not in plain.text
    assert "\n  airflow-sync run --table orders --dry-run\n" in plain.text
