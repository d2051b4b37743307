"""Shell completion, as bash does it."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_sync.cli.airflow_group import get_airflow_commands
from airflow_provider_sync.cli.main import main
from tests.airflow_runs import AIRFLOW_VERSION

PROGRAM = Path(sys.executable).with_name("airflow-sync")

needs_program = pytest.mark.skipif(not PROGRAM.exists(), reason="the console script is not installed")


def completed(folder: Path, *words: str) -> set[str]:
    """Return what bash offers after some words, of which the last one is not finished."""
    script = f"""
        source <({PROGRAM} completion bash)
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_TYPE=9
        COMP_POINT=${{#COMP_LINE}}
        _python_argcomplete "$1" "${{@: -1}}"
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environment = {**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}
    command = ["bash", "-c", script, "bash", "airflow-sync", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


@needs_program
def test_bash(tmp_path: Path) -> None:
    """The shell completes commands, options, and names of tables and directories out of the configuration, right or not."""
    (tmp_path / "client.yaml").write_text(
        "url: ${NOT_SET}\ntables: {orders: {wrong: 1}, letters: {}}\ndirectories: {images: {}}\n"
    )
    assert completed(tmp_path, "d") == {"diff", "doctor", "demo"}
    assert completed(tmp_path, "run", "--ta") == {"--table"}
    assert completed(tmp_path, "run", "--table", "") == {"orders", "letters"}
    assert completed(tmp_path, "diff", "--directory", "i") == {"images"}
    (tmp_path / "other.yaml").write_text("tables: [more]\n")
    assert completed(tmp_path, "run", "--config", "other.yaml", "--table", "") == {"more"}
    (tmp_path / "client.yaml").write_text("url: [")
    assert completed(tmp_path, "run", "--table", "") == set()


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete "), ("zsh", "compdef"), ("fish", "complete --command airflow-sync")]
)
def test_code_for_shells(shell: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``completion`` prints code for each shell, which bash and fish can parse where they are installed."""
    assert main(["completion", shell]) == 0
    code = capsys.readouterr().out
    assert word in code
    assert "airflow-sync" in code
    if shell == "bash" or shutil.which(shell):
        subprocess.run([shell, "-n"], input=code, text=True, check=True)


@pytest.mark.skipif(AIRFLOW_VERSION < (3, 2), reason="Airflow takes commands of providers from 3.2 on")
def test_inside_airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``airflow sync`` completes the same names, by Airflow's own completion."""
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "client.yaml").write_text("tables: {orders: {}}\ndirectories: [images]\n")
    (group,) = get_airflow_commands()
    parser = argparse.ArgumentParser()
    for argument in next(command for command in group.subcommands if command.name == "run").args:
        argument.add_to_parser(parser)
    completed = {
        action.dest: list(action.completer(parsed_args=parser.parse_args([])))
        for action in parser._actions
        if hasattr(action, "completer")
    }
    assert completed == {"table": ["orders"], "directory": ["images"]}
