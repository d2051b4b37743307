"""``token new``: what it prints is all that a server and its clients need."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from airflow_provider_sync.cli.main import main
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.config.tokens import token_digest
from airflow_provider_sync.server.process.uvicorn_server import RunningServer


def test_what_is_printed_works(capsys: pytest.CaptureFixture[str]) -> None:
    """The printed line for server.yaml accepts the printed token, and does not contain it."""
    arguments = ["--name", 'Berlin, "new"', "--expires", "9999-12-31", "--address", "127.0.0.0/8", "--address", "::1"]
    assert main(["token", "new", *arguments]) == 0
    printed = capsys.readouterr().out
    [for_server] = re.findall(r"^ +(- \{.*\})$", printed, re.MULTILINE)
    [connection] = re.findall(r"AIRFLOW_CONN_SYNC_DEFAULT='(.*)'", printed)
    [variable] = re.findall(r" SYNC_TOKEN=(\S+)", printed)
    assert json.loads(connection)["password"] == variable
    assert variable not in for_server
    config = ServerConfig.from_dict({"tokens": yaml.safe_load(for_server)})
    assert config.tokens[0].name == 'Berlin, "new"'
    with RunningServer(config) as server, SyncClient(server.url, token=variable, retries=0) as client:
        client.ping()


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has the token and its entry for server.yaml; each token has more than 200 random bits."""
    made = []
    for _ in range(2):
        assert main(["token", "new", "--json"]) == 0
        made.append(json.loads(capsys.readouterr().out))
    assert [entry["token_sha256"] for entry in made] == [token_digest(entry["token"]) for entry in made]
    assert made[0].keys() == {"token", "token_sha256"}
    assert made[0]["token"] != made[1]["token"]
    assert all(re.fullmatch(r"sync_[\w-]{43}", entry["token"]) for entry in made)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--expires", "2020-01-31"], "--expires 2020-01-31 is in the past. Give a later date."),
        (["--expires", "soon"], "airflow-sync: --expires is 'soon'. Give a date such as 2027-01-31"),
        (["--address", "10.1.0.0/8"], "--address has '10.1.0.0/8'. Did you mean 10.0.0.0/8, or one address?"),
    ],
)
def test_refused(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options that the server would refuse end with 2, and no token is made."""
    assert main(["token", "new", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
