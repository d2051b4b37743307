"""The configuration of the log, for the server and for every command."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_sync.cli.main import main
from airflow_provider_sync.logs.configuration import LogSettings, configured_logs


def test_levels(capsys: pytest.CaptureFixture[str]) -> None:
    """The level applies to this package; other libraries, whose details may have values of rows, log only warnings."""
    with configured_logs(LogSettings(level="debug")):
        for name in ("airflow_provider_sync.x", "sqlalchemy.engine", "uvicorn.error"):
            logging.getLogger(name).debug("a detail of %s", name)
            logging.getLogger(name).warning("a warning of %s", name)
    printed = capsys.readouterr().err
    assert printed.count("a warning of") == 3
    assert [line.split()[-1] for line in printed.splitlines() if "a detail" in line] == ["airflow_provider_sync.x"]


def test_what_was_before_is_restored() -> None:
    """A command that runs inside another program does not change that program's log."""
    loggers = [logging.getLogger(name) for name in ("", "airflow_provider_sync", "uvicorn", "urllib3")]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    with configured_logs(LogSettings(format="json")):
        assert [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers] != before
    assert [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers] == before


def test_a_later_configuration_of_the_root(capsys: pytest.CaptureFixture[str]) -> None:
    """Airflow configures the root logger at its import, but does not change the format of this package's lines."""
    with configured_logs(LogSettings(format="json")):
        logging.getLogger().handlers[:] = []
        logging.getLogger("airflow_provider_sync.x").warning("ours")
    assert json.loads(capsys.readouterr().err)["message"] == "ours"


def test_the_log_of_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--log-file`` has the error that ended a command; standard error has it, too, without the log format."""
    path = tmp_path / "sync.log"
    with pytest.raises(SystemExit):
        main(["check", "--log-level", "loud"])
    assert "'loud'" in capsys.readouterr().err
    flags = ["--log-file", str(path), "--log-format", "json"]
    assert main(["check", "--config", str(tmp_path / "none.yaml"), *flags]) == 2
    said = capsys.readouterr().err
    (line,) = map(json.loads, path.read_text().splitlines())
    assert line["level"] == "ERROR"
    assert said.startswith(f"airflow-sync: {line['message']}")


def test_an_error_without_its_secret(tmp_path: Path) -> None:
    """Neither an error line nor a ``--verbose`` traceback has a secret of the configuration."""
    config = tmp_path / "client.yaml"
    config.write_text("url: https://source.example\ntoken: open-sesame-123\nretries: open-sesame-123\n")
    command = [sys.executable, "-m", "airflow_provider_sync.cli.main", "run", "--config", str(config), "--verbose"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "retries" in done.stderr
    assert "open-sesame" not in done.stderr
