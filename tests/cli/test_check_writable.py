"""``check --connect`` says whether the database files of a client can be written; a server only reads its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Command
from tests.cli.site import Site
from tests.cli.test_check import results
from tests.scenario import opened

# Permissions do not bind root as long as it has these capabilities.
BOUND = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def check(config: Path) -> tuple[int, dict[tuple[str, str], tuple[str, str]]]:
    """Run ``check --connect`` as a process that permissions bind; return its exit code and what it says."""
    command = [*BOUND, sys.executable, "-m", "airflow_provider_sync.cli.main", "check", "--connect", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, results(done.stdout)


@pytest.fixture(params=["sqlite", "duckdb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of a target with the site's table, in a folder of its own."""
    folder = tmp_path / "data"
    folder.mkdir()
    found = f"{request.param}:///{folder / 'target.db'}"
    with opened(found) as target:
        target.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, name VARCHAR(50) NOT NULL)")
    return found


def configure(site: Site, url: str, **options: object) -> None:
    """Sync one table into the database."""
    server = yaml.safe_load(site.config.read_text(encoding="utf-8"))["url"]
    site.configure(server, connections={"local": url}, tables={"orders": options}, directories={})


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_target_that_cannot_be_written(site: Site, command: Command, url: str, tmp_path: Path, what: str) -> None:
    """A read-only file or folder is named, with what to do; its table is still looked for."""
    configure(site, url)
    assert command("check", "--connect") == 0
    if what == "file":
        (tmp_path / "data" / "target.db").chmod(0o444)
    else:
        (tmp_path / "data").chmod(0o555)
    code, found = check(site.config)
    mark, message = found["connection", "local"]
    assert (code, mark) == (3, "FAILED")
    assert ("target.db" if what == "file" else str(tmp_path / "data")) in message
    assert "Give the user of this process write permission" in message


def test_a_file_that_cannot_be_made(
    site: Site, command: Command, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A read-only folder in which a run would have to create the file is named."""
    (tmp_path / "data" / "target.db").unlink()
    configure(site, url, create_table=True)
    command("check", "--connect")
    assert results(capsys.readouterr().out)["connection", "local"][0] == "ok"
    (tmp_path / "data").chmod(0o555)
    code, found = check(site.config)
    assert (code, found["connection", "local"][0]) == (3, "FAILED")
    assert f"The folder '{tmp_path / 'data'}' of the database 'target.db' cannot be written." in found["connection", "local"][1]


@pytest.mark.parametrize(
    ("kind", "query", "advice"),
    [
        ("sqlite", "file:{}?mode=ro&uri=true", "for reading only. Remove mode"),
        ("sqlite", "file:{}?immutable=1&uri=true", "for reading only. Remove mode"),
        ("duckdb", "{}?read_only=true", "for reading only. Remove read_only"),
    ],
)
def test_a_url_that_only_reads(
    site: Site, command: Command, capsys: pytest.CaptureFixture[str], kind: str, query: str, advice: str
) -> None:
    """A URL that opens the file of a target for reading only is refused."""
    file = site.folder / f"target.{kind}"
    with opened(f"{kind}:///{file}") as target:
        target.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, name VARCHAR(50) NOT NULL)")
    configure(site, f"{kind}:///{query.format(file)}")
    assert command("check", "--connect") == 3
    mark, message = results(capsys.readouterr().out)["connection", "local"]
    assert mark == "FAILED"
    assert advice in message


def test_a_source_is_only_read(site: Site) -> None:
    """The database of a server may be read-only."""
    site.source.chmod(0o444)
    code, found = check(site.server_config)
    assert (code, found["connection", "source"][0]) == (0, "ok")
