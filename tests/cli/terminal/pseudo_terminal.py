"""A terminal for a command, so that tests see what a user sees."""

from __future__ import annotations

import os
import pty
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from airflow_provider_sync.cli.main import main

NOT_SET = ("NO_COLOR", "FORCE_COLOR", "CI", "LINES")


class Shown(NamedTuple):
    """What a terminal was sent, and the exit code."""

    code: int
    text: str


def on_a_terminal(*arguments: str, folder: Path | None = None, columns: int = 120, **environment: str) -> Shown:
    """Run a command in this process with a terminal for what it prints.

    :param folder: where to run it
    :param columns: width of the terminal, in characters
    :param environment: variables besides those of the tests
    """
    terminal, other_end = pty.openpty()
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as reader:
        for name in NOT_SET:
            patch.delenv(name, raising=False)
        for name, value in {"TERM": "xterm-256color", "COLUMNS": str(columns), **environment}.items():
            patch.setenv(name, value)
        if folder is not None:
            patch.chdir(folder)
        drawn = reader.submit(read_all, terminal)
        with os.fdopen(other_end, "w", encoding="utf-8") as screen, redirect_stdout(screen), redirect_stderr(screen):
            code = _exit_code(arguments)
        return Shown(code, drawn.result().replace("\r\n", "\n"))


def _exit_code(arguments: tuple[str, ...]) -> int:
    try:
        return main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)


def read_all(terminal: int) -> str:
    """Read what a terminal is sent until its other end is closed, and close it."""
    drawn = b""
    try:
        while block := os.read(terminal, 65536):
            drawn += block
    except OSError:
        pass  # Linux ends a terminal whose other end is closed with an error
    finally:
        os.close(terminal)
    return drawn.decode(errors="replace")
