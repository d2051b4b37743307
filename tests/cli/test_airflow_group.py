"""``airflow sync``: the same commands inside Airflow's own command line."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_sync.cli.airflow_group import get_airflow_commands
from airflow_provider_sync.cli.definition import COMMANDS
from airflow_provider_sync.cli.parser import build_parser
from airflow_provider_sync.config import ClientConfig
from tests.airflow_runs import AIRFLOW_VERSION, migrate_metadata_database
from tests.cli.site import Site, reports

with_groups = pytest.mark.skipif(AIRFLOW_VERSION < (3, 2), reason="Airflow takes commands of providers from 3.2 on")


def airflow(*arguments: str, expected: int = 0) -> subprocess.CompletedProcess[str]:
    """Run an ``airflow`` command in a process of its own."""
    # Warnings are those of Airflow's own imports.
    command = [sys.executable, "-W", "ignore", "-m", "airflow", *arguments]
    environment = {**os.environ, "AIRFLOW__CORE__UNIT_TEST_MODE": "False"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == expected, done.stderr
    return done


def test_one_definition() -> None:
    """Both command lines have the same commands, and parse the same arguments to the same values."""
    (group,) = get_airflow_commands()
    assert [command.name for command in group.subcommands] == [command.name for command in COMMANDS]
    for command in group.subcommands:
        parser = argparse.ArgumentParser()
        for argument in command.args:
            argument.add_to_parser(parser)
        own = {"demo": [], "pull": ["http://x", "images", "./images"], "token": ["new"], "completion": ["bash"]}
        arguments = own.get(command.name, ["--config", "x.yaml"])
        ours = vars(build_parser().parse_args([command.name, *arguments]))
        del ours["module"]
        assert vars(parser.parse_args(arguments)) == ours


def test_the_definition_is_light() -> None:
    """The definition, which every ``airflow`` command imports, has no slow imports."""
    program = "import sys, airflow_provider_sync.cli.airflow_group; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"airflow", "sqlalchemy", "requests", "msgspec", "rich", "yaml", "fastapi"} & set(loaded)


@with_groups
def test_group() -> None:
    """Airflow's own parser offers the group."""
    program = (
        "from airflow.cli.cli_parser import get_parser;"
        "print(get_parser().parse_args(['sync', 'run', '--config', 'x', '--json', '--table', 'a']))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True)
    assert "config='x'" in done.stdout
    assert "table=['a']" in done.stdout


@pytest.mark.slow
@with_groups
def test_results_only(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--json`` prints the reports and nothing else, with the target under a connection of Airflow."""
    migrate_metadata_database()
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": str(site.target)}))
    site.configure(ClientConfig.from_yaml(site.config).url, connections={"local": "airflow://warehouse"})
    done = airflow("sync", "run", "--config", str(site.config), "--json")
    assert {report["status"] for report in reports(done.stdout).values()} == {"changed"}
    assert len(site.rows("orders")) == 3


@pytest.mark.slow
@with_groups
def test_errors(site: Site, tmp_path: Path) -> None:
    """A wrong configuration ends with 2, differences with 1, a failure with 3; errors are one line."""
    done = airflow("sync", "run", "--config", str(tmp_path / "missing.yaml"), expected=2)
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("airflow sync: Cannot read")
    assert last.endswith("next: airflow sync init --client SERVER_URL")
    assert "Traceback" not in done.stderr
    airflow("sync", "diff", "--config", str(site.config), expected=1)
    site.configure("http://127.0.0.1:1")
    done = airflow("sync", "run", "--config", str(site.config), "--json", expected=3)
    assert {report["status"] for report in reports(done.stdout).values()} == {"failed"}
    assert "Traceback" not in done.stderr
    assert site.rows("orders") == []
