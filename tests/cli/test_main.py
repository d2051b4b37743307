"""What all commands have in common: arguments, configuration files, exit codes, errors in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_sync import __version__
from airflow_provider_sync.cli import listing
from airflow_provider_sync.cli.main import main
from tests.cli.site import Site


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["run", "--config"],
        ["run", "--config", "x", "--no-such-option"],
        ["serve", "--config", "x", "--port", "70000"],
        ["serve", "--config", "x", "--port", "-1"],
        ["clean", "--config", "x", "--older-than", "soon"],
        ["clean", "--config", "x", "--older-than", "."],
        ["clean", "--config", "x", "--older-than", "99999999999999d"],
        ["diff", "--config", "x", "--keys", "99999999999999999999"],
        ["serve", "--config", "x", "--workers", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong arguments end with 2 and one line on standard error that says where help is."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "--help" in printed.err


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["rum"], "argument COMMAND: 'rum' is not one of serve, run, "),
        (["rum"], "; did you mean 'run'? See 'airflow-sync --help'."),
        (["run", "--tabel", "x"], "airflow-sync run: unrecognized arguments: --tabel x; did you mean '--table'? See"),
        (["list", "--tables=x"], "airflow-sync list: unrecognized arguments: --tables=x. See 'airflow-sync list --help'."),
        (["-q", "run"], "airflow-sync: -q stands before the command. Write it behind, as in 'airflow-sync run -q'. See"),
        (["--config=client.yaml", "run"], "airflow-sync: --config stands before the command. Write it behind,"),
        (["run", "--output", "jsn"], "'jsn' is not one of table, plain, json, yaml; did you mean 'json'? See"),
    ],
)
def test_what_was_meant(arguments: list[str], meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt command, option or value is answered with the probable one, by the command that was called."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert meant in capsys.readouterr().err


@pytest.mark.parametrize("name", ["serve", "run", "diff", "list", "clean"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "Cannot read"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"url: [", "is not valid YAML"),
        (b"- a\n- b\n", "must hold a mapping"),
        (b"", "must hold a mapping"),
        (b"no_such_option: 1\nurl: http://x\n", "no_such_option"),
        (b"url: ${NO_SUCH_VARIABLE}\n", "NO_SUCH_VARIABLE is not set, but the configuration uses it. Export it"),
    ],
    ids=["missing", "binary", "not yaml", "list", "empty", "unknown option", "variable"],
)
def test_wrong_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, message: str
) -> None:
    """With an unusable configuration, every command exits with 2 and one line that names the error."""
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_bytes(content)
    assert main([name, "--config", str(path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    """``--help`` names every command, and ``--version`` the version."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(f"\n    {name} " in text for name in ("serve", "run", "diff", "list", "clean", "demo"))
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"airflow-sync {__version__}\n"


@pytest.mark.parametrize(("error", "code"), [(RuntimeError("first\nsecond"), 3), (KeyboardInterrupt(), 130)])
def test_the_unexpected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    """Any other error ends with 3 and one line; Ctrl-C ends with 130, as in shells."""

    def fail(_options: object) -> int:
        raise error

    monkeypatch.setattr(listing, "main", fail)
    assert main(["list", "--config", os.devnull]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1


def test_a_reader_that_leaves(site: Site) -> None:
    """If the reader of the results ends, the command ends without a message on standard error."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "airflow_provider_sync.cli.main", "list", "--config", str(site.config)]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (3, "")


def test_a_misspelt_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file is answered with a similar name beside it; without one, the next step creates a file."""
    (tmp_path / "client.yaml").write_text("url: http://127.0.0.1:1\n")
    assert main(["run", "--config", str(tmp_path / "cleint.yaml")]) == 2
    printed = capsys.readouterr().err
    assert f"No such file or directory. Did you mean {tmp_path / 'client.yaml'}?" in printed
    assert main(["serve", "--config", str(tmp_path / "other")]) == 2
    assert capsys.readouterr().err.endswith(
        "Give the path of a configuration file. next: airflow-sync init --from DATABASE_URL\n"
    )


def test_a_variable_that_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message about a missing variable says what to do, and does not advise to check the file."""
    path = tmp_path / "client.yaml"
    path.write_text("url: ${NO_SUCH_VARIABLE}\n")
    assert main(["run", "--config", str(path)]) == 2
    assert capsys.readouterr().err.endswith("Export it, or add it to the environment of the service.\n")


def test_yaml_that_cannot_be_parsed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A YAML mistake is reported with its line and the parser's reason."""
    path = tmp_path / "client.yaml"
    path.write_text("url: http://x\ntables: {orders: {}\n")
    assert main(["run", "--config", str(path)]) == 2
    assert capsys.readouterr().err == (
        f"airflow-sync: {path} is not valid YAML: line 3: while parsing a flow mapping: expected ',' or '}}', but got"
        " '<stream end>'\n"
    )
