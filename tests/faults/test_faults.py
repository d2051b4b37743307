"""The fault suite in its short form; ``make faults`` runs the whole."""

from __future__ import annotations

import os
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import msgspec
import pytest

from tests.faults.kinds import all_kinds
from tests.faults.run import PROJECT, Count


def run(tmp_path: Path, *arguments: str) -> list[Count]:
    """Run the suite in a process of its own: its trials fork, which this one's threads forbid."""
    file = tmp_path / "counts.json"
    command = [sys.executable, "-m", "tests.faults.run", *arguments, "--json", str(file)]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    counts = msgspec.json.decode(file.read_bytes(), type=list[Count])
    skipped = {count.kind: count.skipped for count in counts if count.skipped}
    if skipped and os.environ.get("CI"):
        pytest.fail(f"not tried: {skipped}", pytrace=False)
    return counts


CHEAP = ("*-tables-2", "*-files", "kill-sqlite-difference", "sigterm-sqlite", "lie-first", "full-tables-difference")
"""Kinds that `make test` tries, on SQLite and directories."""


def test_a_few_faults_of_every_cheap_kind(tmp_path: Path) -> None:
    """After any fault of a sync on SQLite or of a directory, the target is old or new, and the next run succeeds."""
    counts = run(tmp_path, *CHEAP, "--share", "0.006", "--jobs", "1")
    assert sum(count.tries for count in counts) >= 30


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_faults_of_every_other_kind(tmp_path: Path) -> None:
    """After any fault of a sync on any engine, the target is old or new, and the next run succeeds."""
    others = {kind.name for kind in all_kinds() if not any(fnmatch(kind.name, pattern) for pattern in CHEAP)}
    counts = run(tmp_path, *others, "--share", "0", "--first", "1000")
    assert {count.kind for count in counts} == others


def test_a_lost_row_is_found(tmp_path: Path) -> None:
    """The check after a fault finds a lost row, an invented one, and a half-merged table."""
    from tests.faults.states import State, Violation, check_whole

    old = State({"t": [("1", "a"), ("2", "b")]}, {"f": b"old"})
    new = State({"t": [("1", "x"), ("3", "c")]}, {"f": b"new"})
    assert check_whole(old, old, new) == "old, old"
    assert check_whole(State(new.tables, {"f": b"old"}), old, new) == "new, old"
    for tables, files in (
        ({"t": [("1", "a")]}, {"f": b"old"}),
        ({"t": [("1", "a"), ("2", "b"), ("9", "z")]}, {"f": b"old"}),
        ({"t": [("1", "x"), ("2", "b")]}, {"f": b"old"}),
        (old.tables, {"f": b"ol"}),
        (old.tables, {}),
        (old.tables, {"f": b"old", "g": b""}),
    ):
        with pytest.raises(Violation):
            check_whole(State(tables, files), old, new)
