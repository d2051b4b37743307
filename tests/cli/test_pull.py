"""``pull``: one directory, without a configuration file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_sync.cli.main import main
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.cli.site import reports

TOKEN = "a-secret-token-of-the-tests"


class Copy:
    """A directory that a server offers to those who have the token, and the folder that it is copied to."""

    def __init__(self, folder: Path, url: str) -> None:
        self.source, self.target, self.url = folder / "images", folder / "copies", url

    def pull(self, *arguments: str) -> int:
        """Run the command, and return its exit code."""
        return main(["pull", self.url, "images", str(self.target), *arguments])

    def files(self) -> list[str]:
        """Name the files of the target."""
        return sorted(str(path.relative_to(self.target)) for path in self.target.rglob("*") if path.is_file())


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Copy]:
    """Give a server with two files, and the token in the environment."""
    for name in ("a.png", "deep/b.txt"):
        path = tmp_path / "images" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    monkeypatch.setenv("SYNC_TOKEN", TOKEN)
    config = ServerConfig.from_dict({"tokens": [TOKEN], "directories": {"images": {"path": str(tmp_path / "images")}}})
    with RunningServer(config) as server:
        yield Copy(tmp_path, server.url)


def test_a_directory_is_copied(copy: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    """The first pull copies every file, the second none; the report is that of ``run``."""
    assert copy.pull("--json") == 0
    report = reports(capsys.readouterr().out)["images"]
    assert (report["status"], report["files_added"]) == ("changed", 2)
    assert copy.files() == ["a.png", "deep/b.txt"]
    assert copy.pull() == 0
    assert "unchanged" in capsys.readouterr().out


def test_a_misspelt_name(copy: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that the server does not offer is wrong usage; the message has the offered names and the probable one."""
    assert main(["pull", copy.url, "imgaes", str(copy.target)]) == 2
    assert capsys.readouterr().err.endswith(
        "Directory 'imgaes': The server does not offer it to this client. Did you mean 'images'? It offers: images.\n"
    )
    assert not copy.target.exists()


def test_patterns_and_a_prefix_choose(copy: Copy) -> None:
    """``--include``, ``--exclude`` and ``--prefix`` choose what is copied."""
    copy.pull("--include", "**/*.png", "--include", "**/*.txt", "--exclude", "deep/**")
    assert copy.files() == ["a.png"]
    copy.pull("--prefix", "deep")
    assert copy.files() == ["a.png", "b.txt"]


def test_nothing_is_deleted_unless_it_is_asked_for(copy: Copy) -> None:
    """Files that the source lacks stay, unless ``--delete`` is set."""
    copy.target.mkdir()
    (copy.target / "mine.txt").write_text("mine")
    assert copy.pull() == 0
    assert "mine.txt" in copy.files()
    assert copy.pull("--no-delete") == 0
    assert "mine.txt" in copy.files()
    assert copy.pull("--delete") == 0
    assert copy.files() == ["a.png", "deep/b.txt"]


def test_deletes_are_guarded(copy: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    """A source that became empty, and more deletes than allowed, end with 3 and delete nothing, until the option allows it."""
    assert copy.pull() == 0
    for name in ("a.png", "deep/b.txt"):
        (copy.source / name).unlink()
    assert copy.pull("--delete") == 3
    said = capsys.readouterr()
    assert "set --allow-empty-source." in said.err
    assert copy.files() == ["a.png", "deep/b.txt"]
    assert copy.pull("--delete", "--allow-empty-source") == 0
    assert copy.files() == []
    for name in ("x", "y"):
        (copy.target / name).write_text("mine")
    (copy.source / "a.png").write_text("again")
    assert copy.pull("--delete", "--max-deletes", "1") == 3
    assert "; --max-deletes is 1. If that is right, set --max-deletes to '100%', or to at least 2." in capsys.readouterr().err
    assert copy.files() == ["x", "y"]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--max-deletes", "many", "is 'many'. Give a number"), ("--prefix", "../x", "is '../x'. Give a")],
)
def test_wrong_values_name_the_flag(copy: Copy, capsys: pytest.CaptureFixture[str], option: str, value: str, said: str) -> None:
    """An invalid value of a flag ends with 2, and the message names the flag."""
    assert copy.pull(option, value) == 2
    assert f"airflow-sync: {option} {said}" in capsys.readouterr().err
    assert not copy.target.exists()


def test_a_dry_run_writes_nothing(copy: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    """``--dry-run`` reports the changes, and does not even create the folder."""
    assert copy.pull("--dry-run", "--json") == 0
    report = reports(capsys.readouterr().out)["images"]
    assert (report["status"], report["files_added"]) == ("planned", 2)
    assert not copy.target.exists()


def test_the_token_comes_from_a_file(copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--token-file`` is read instead of the environment; a line break at its end is not part of the token."""
    monkeypatch.setenv("SYNC_TOKEN", "wrong")
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o640)
    assert copy.pull("--token-file", str(file)) == 0
    assert copy.files() == ["a.png", "deep/b.txt"]


def test_a_missing_token_is_refused_by_the_server(
    copy: Copy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a token the server refuses, the exit code is 3, and nothing is written."""
    monkeypatch.delenv("SYNC_TOKEN")
    assert copy.pull() == 3
    assert "401" in capsys.readouterr().err
    assert not copy.target.exists() or copy.files() == []


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "Cannot read the token from"), (b"\n", "is empty"), (b"\xff", "is not UTF-8 text")],
)
def test_a_token_file_without_a_token(
    copy: Copy, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str
) -> None:
    """A token file that is missing, empty or not text is wrong usage, and no request is sent."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
        file.chmod(0o600)
    assert copy.pull("--token-file", str(file)) == 2
    assert message in capsys.readouterr().err
    assert not copy.target.exists()


@pytest.mark.parametrize("mode", [0o644, 0o602])
def test_a_token_file_that_others_can_read(copy: Copy, tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: int) -> None:
    """A token file that every user can read or change is refused, with the command that protects it, and nothing is written."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(mode)
    assert copy.pull("--token-file", str(file)) == 2
    printed = capsys.readouterr()
    assert f"Every user of this machine can read or change {file}. Protect it: chmod 600 {file}" in printed.err
    assert TOKEN not in printed.err
    assert not copy.target.exists()


def test_no_credentials_on_the_command_line(copy: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    """A URL with a password is wrong usage, and the message does not repeat it."""
    copy.url = copy.url.replace("http://", "http://me:hidden-password@")
    assert copy.pull() == 2
    printed = capsys.readouterr()
    assert "hidden-password" not in printed.err + printed.out
    assert not copy.target.exists()
