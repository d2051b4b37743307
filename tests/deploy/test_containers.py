"""The Dockerfile and compose.yaml: their steps, run in folders made by debootstrap, since no container engine runs here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import yaml

from airflow_provider_sync.cli.main import build_parser, main
from airflow_provider_sync.config.tokens import token_digest
from tests.database_server import free_port
from tests.deploy.images import SECONDS, Image, build, folder_of_images, need_chroots, run, start, steps, stop
from tests.deploy.proxies import RECIPES, caddy, replaced
from tests.docs.pages import PROJECT

DOCKERFILE = (RECIPES / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((RECIPES / "compose.yaml").read_text())
SERVER: dict[str, Any] = COMPOSE["services"]["airflow-sync"]


def test_commands() -> None:
    """The commands of both files are valid, and their first lines name the files that they copy and mount."""
    found = dict(steps(DOCKERFILE))
    assert found["ENTRYPOINT"] == '["/opt/airflow-sync/bin/airflow-sync"]'
    for command in (yaml.safe_load(found["CMD"]), SERVER["command"]):
        build_parser().parse_args(command)
    assert (RECIPES / "core-requirements.txt").exists()
    beside = "\n".join((RECIPES / "compose.yaml").read_text().splitlines()[:3])
    for service in COMPOSE["services"].values():
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or Path(source).name.removesuffix(".key") in beside


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """Build the image with the wheel of this project."""
    need_chroots()
    with folder_of_images() as folder:
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, PROJECT]
        subprocess.run(command, check=True, capture_output=True)
        (wheel,) = folder.glob("*.whl")
        recipe = replaced(DOCKERFILE, {"COPY core-requirements.txt /build/": f"COPY core-requirements.txt {wheel.name} /build/"})
        shutil.copy(RECIPES / "core-requirements.txt", folder)
        yield build(recipe, folder, folder, {"PACKAGE": f"/build/{wheel.name}"})


@pytest.fixture
def server_yaml(tmp_path: Path) -> Path:
    """Write what the container serves: a folder of its own."""
    path = tmp_path / "server.yaml"
    settings = {
        "tokens": [{"token_sha256": token_digest("token")}],
        "directories": {"licences": {"path": "/usr/share/common-licenses"}},
    }
    path.write_text(yaml.safe_dump(settings))
    path.chmod(0o644)
    return path


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS)
def test_the_image(image: Image, server_yaml: Path, tmp_path: Path) -> None:
    """The image has the drivers and no Airflow; run as in compose.yaml, it serves a client through Caddy."""
    python = "/opt/airflow-sync/bin/python"
    run(image, [python, "-c", "import psycopg, pymysql, duckdb"], {}, check=True)
    assert "No module named 'airflow'" in run(image, [python, "-c", "import airflow"], {}, check=False).stdout
    cache, port, log = tmp_path / "cache", free_port(), tmp_path / "log"
    cache.mkdir()
    os.chown(cache, *map(int, image.user.split(":")))
    sources = {"./server.yaml": server_yaml, "cache": cache}
    volumes = {sources[source]: target for source, _, target in (volume.partition(":") for volume in SERVER["volumes"])}
    environment = {"DB_PASSWORD": "unused"}
    with start(image, [*SERVER["command"], "--port", str(port)], environment, volumes, log) as container:
        try:
            wait_for(f"http://127.0.0.1:{port}/health", container, log)
            health = [argument.replace("8765", str(port)) for argument in image.health]
            run(image, health, {}, check=True)
            with caddy(f"http://127.0.0.1:{port}", tmp_path) as proxy:
                sync(proxy.url, str(proxy.authority), tmp_path)
            assert [path.name for path in cache.rglob("*.sqlite")] == ["digests.sqlite"]
        finally:
            stop(container)
    with pytest.raises((URLError, ConnectionError)):  # refused, or reset while the server ends
        urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
    copied, expected = tmp_path / "copy", Path("/usr/share/common-licenses")
    assert (copied / "GPL-3").read_bytes() == (image.root / expected.relative_to("/") / "GPL-3").read_bytes()


def wait_for(url: str, container: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server answers."""
    until = time.monotonic() + 60
    while True:
        assert container.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        try:
            urlopen(url, timeout=10).close()
            return
        except OSError:
            time.sleep(0.1)


def sync(url: str, certificate: str, folder: Path) -> None:
    """Sync the folder of the container."""
    path = folder / "client.yaml"
    settings = {"url": url, "token": "token", "verify": certificate, "directories": {"licences": {"path": str(folder / "copy")}}}
    path.write_text(yaml.safe_dump(settings))
    assert main(["run", "--config", str(path)]) == 0
