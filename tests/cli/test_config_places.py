"""The configuration that a command uses without ``--config``."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.cli.main import main
from tests.cli.site import Site

USERS = Path("airflow-sync")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder to work in, with a user's folder for configurations beside it."""
    folder = tmp_path / "here"
    folder.mkdir()
    (tmp_path / "users" / USERS).mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "users"))
    monkeypatch.delenv("AIRFLOW_SYNC_CONFIG", raising=False)
    return folder


def used(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the configuration that ``check`` says it has checked, or the error."""
    main(["check", *arguments])
    printed = capsys.readouterr()
    return printed.out.partition(":")[0] or printed.err


def test_the_order(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The order is: argument, variable, current folder, user's folder."""
    users = here.parent / "users" / USERS / "client.yaml"
    for path in (users, here / "client.yaml", here / "by_variable.yaml", here / "by_argument.yaml"):
        if path.parent == here:
            assert used(capsys) == str(users if path.name == "client.yaml" else "client.yaml")
        path.write_text("url: http://127.0.0.1:1\n")
    monkeypatch.setenv("AIRFLOW_SYNC_CONFIG", "by_variable.yaml")
    assert used(capsys) == "by_variable.yaml"
    assert used(capsys, "--config", "by_argument.yaml") == "by_argument.yaml"


def test_the_variable_may_name_a_folder(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder in the variable means its ``client.yaml`` and ``server.yaml``; if both exist, ``check`` asks which one."""
    (here / "etc").mkdir()
    (here / "etc" / "client.yaml").write_text("url: http://127.0.0.1:1\n")
    monkeypatch.setenv("AIRFLOW_SYNC_CONFIG", str(here / "etc"))
    assert used(capsys) == str(here / "etc" / "client.yaml")
    assert main(["serve"]) == 2
    assert f"AIRFLOW_SYNC_CONFIG is the folder {here / 'etc'}, which has no server.yaml." in capsys.readouterr().err
    (here / "etc" / "server.yaml").write_text("tables: {}\n")
    assert "Say which one is meant: --config" in used(capsys)
    assert used(capsys, "--as", "server") == str(here / "etc" / "server.yaml")


@pytest.mark.parametrize(("command", "made_from"), [("serve", "--from DATABASE_URL"), ("run", "--client SERVER_URL")])
def test_there_is_none(here: Path, capsys: pytest.CaptureFixture[str], command: str, made_from: str) -> None:
    """Without any configuration the message names all places, and the next step makes one."""
    assert main([command]) == 2
    kind = "server" if command == "serve" else "client"
    assert capsys.readouterr().err == (
        f"airflow-sync: There is no {kind}.yaml: not in this folder, and not in {here.parent / 'users' / USERS}."
        f" Give --config FILE, or set AIRFLOW_SYNC_CONFIG to its path. next: airflow-sync init {made_from}\n"
    )


def test_the_variable_names_nothing(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A variable with a missing file is an error, even if the current folder has a configuration."""
    (here / "client.yaml").write_text("url: http://127.0.0.1:1\n")
    monkeypatch.setenv("AIRFLOW_SYNC_CONFIG", "/no/such.yaml")
    assert main(["run"]) == 2
    assert "AIRFLOW_SYNC_CONFIG is /no/such.yaml, which is not there." in capsys.readouterr().err


def test_a_path_that_cannot_be_looked_at(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """If the system does not even say whether a file exists, as in a closed folder, the reason is in one line."""
    # A name that is too long, because no folder is closed to the superuser.
    closed = f"/{'x' * 300}/client.yaml"
    refused = f"airflow-sync: Cannot read {closed}: File name too long. Give the path of a configuration file."
    assert main(["run", "--config", closed]) == 2
    assert refused in capsys.readouterr().err
    assert main(["init", "--client", "http://127.0.0.1:1", "--config", closed]) != 0
    assert "unexpected" not in capsys.readouterr().err
    monkeypatch.setenv("AIRFLOW_SYNC_CONFIG", closed)
    assert main(["run"]) == 2
    assert refused in capsys.readouterr().err


def test_a_closed_users_folder(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With the home of another user, as under `sudo`, this folder's file is used; without one, the message names all places."""
    closed = f"/{'x' * 300}"
    monkeypatch.setenv("XDG_CONFIG_HOME", closed)
    assert main(["run"]) == 2
    assert f"There is no client.yaml: not in this folder, and not in {closed}/airflow-sync." in capsys.readouterr().err
    (here / "client.yaml").write_text("url: http://127.0.0.1:1\n")
    assert used(capsys) == "client.yaml"


def test_it_is_used(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """``run`` in a folder with a ``client.yaml`` needs no argument; ``--verbose`` says which file it uses."""
    monkeypatch.chdir(site.folder)
    assert main(["run", "--quiet", "--verbose"]) == 0
    assert len(site.rows("orders")) == 3
    assert capsys.readouterr() == ("", "airflow-sync: using the configuration client.yaml\n")
