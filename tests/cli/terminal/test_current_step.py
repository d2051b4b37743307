"""What a command is at: a line on a terminal, nothing otherwise."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

import pytest

from airflow_provider_sync.cli.terminal.current_step import show_steps
from tests.cli.site import Site
from tests.cli.terminal.pseudo_terminal import on_a_terminal


class Screen(io.StringIO):
    """A terminal that says when a text was drawn."""

    def __init__(self, awaited: str) -> None:
        super().__init__()
        self._awaited = awaited
        self.drawn = Event()

    def isatty(self) -> bool:
        """Say that it is one."""
        return True

    def write(self, text: str) -> int:
        """Draw a text."""
        written = super().write(text)
        if self._awaited in text:
            self.drawn.set()
        return written


@contextmanager
def terminal(awaited: str) -> Iterator[Screen]:
    """Let standard error be a terminal for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("NO_COLOR", raising=False)
        patch.setenv("TERM", "xterm")
        screen = Screen(awaited)
        # Here and not in a fixture: pytest puts its own in place between the two.
        patch.setattr(sys, "stderr", screen)
        yield screen


def test_a_terminal_shows_the_step() -> None:
    """A terminal shows the current step, without escape codes from names."""
    with terminal("Comparing orders\\x1b") as screen, show_steps() as say:
        say("Comparing orders\x1b")
        assert screen.drawn.wait(60)


def test_quiet() -> None:
    """``--quiet`` shows no steps."""
    with terminal("Comparing") as screen:
        with show_steps(quiet=True) as say:
            say("Comparing orders")
        assert screen.getvalue() == ""


def test_a_pipe_gets_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal, no steps are written."""
    with show_steps() as say:
        say("Comparing orders")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("command", [["doctor"], ["list"], ["check", "--connect"]], ids=lambda command: command[0])
def test_commands_end_with_their_results(site: Site, command: list[str]) -> None:
    """The line of the step is removed before the results are shown."""
    shown = on_a_terminal(*command, "--config", str(site.config))
    _, _, results = shown.text.rpartition("\x1b[?25h")
    assert "orders" in results
    assert "tables done" not in results
