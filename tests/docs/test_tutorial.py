"""The tutorial, followed to the letter."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.pages import PROJECT, Block, blocks

TUTORIAL = PROJECT / "docs" / "tutorial" / "first-sync.md"
PORT = "8765"


class Reader:
    """Somebody who follows the tutorial in an empty folder: saves files, runs commands, compares what they print.

    :param folder: where
    :param port: instead of the one that the tutorial names
    """

    def __init__(self, folder: Path, port: str) -> None:
        self.folder = folder
        self.port = port
        self.output = ""
        self._servers = ExitStack()

    def follow(self, block: Block) -> None:
        """Do what a block says."""
        text = block.text.replace(PORT, self.port)
        # The name of a file stands in its first line, or in the second, below that of its schema.
        first = next(line for line in text.splitlines() if "$schema" not in line)
        if block.language == "bash":
            self._run(text, block.note)
        elif block.language == "text":
            assert shown(self.output) == shown(text)
        elif first.startswith("# "):
            file = self.folder / first.removeprefix("# ")
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)

    def stop(self) -> None:
        """Stop the server."""
        self._servers.close()

    def _run(self, command: str, note: str) -> None:
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        environment.pop("AIRFLOW__CORE__UNIT_TEST_MODE", None)
        if note == "background":
            server = self._servers.enter_context(
                subprocess.Popen(
                    ["bash", "-c", f"exec {command.strip()} --port {self.port}"],
                    cwd=self.folder,
                    env=environment,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            self._servers.callback(server.terminate)
            assert server.stdout is not None
            assert server.stdout.readline() == f"Serving at http://127.0.0.1:{self.port}\n"
            return
        result = subprocess.run(
            ["bash", "-ec", command], cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert result.returncode == int(note.removeprefix("exit code ") if note.startswith("exit") else 0), result.stderr
        self.output = result.stdout


def shown(table: str) -> list[list[str]]:
    """Return the cells of a table that the tutorial shows; the other columns depend on the day."""
    rows = [re.split(r"  +", line.strip())[:6] for line in table.strip().splitlines()]
    return [row for row in rows if not row[0].startswith("---")]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Give a reader with an empty folder."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    reader = Reader(tmp_path, port)
    yield reader
    reader.stop()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_tutorial(reader: Reader) -> None:
    """The commands of the tutorial print what it shows, from an empty folder to the DAG."""
    for block in blocks(TUTORIAL):
        if "pip install" not in block.text:
            reader.follow(block)
    log = list((reader.folder / "airflow" / "logs").rglob("*.log"))
    assert (reader.folder / "copies" / "new" / "bird.txt").read_text() == "tweet"
    assert log or (reader.folder / "airflow" / "airflow.db").exists()
