"""The recipes for web servers, run as they stand in the documentation, with ports and paths of the test."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPSConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.database_server import free_port
from tests.docs.pages import PROJECT
from tests.server.process.certificates import Authority

RECIPES = PROJECT / "docs" / "how-to" / "deploy"

_NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/airflow-sync.conf;
}}
"""


class Proxy(NamedTuple):
    """A web server before a sync server.

    :ivar url: base URL for clients
    :ivar authority: file with the certificate that clients have to trust
    """

    url: str
    authority: Path


def program(name: str) -> str:
    """Find a program; where it has to be, its absence is a failure."""
    # pip installs programs beside its Python.
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:{Path(sys.executable).parent}")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"no {name}", pytrace=False)
        pytest.skip(f"no {name} (Debian: {name})")
    return found


def replaced(text: str, replacements: Mapping[str, str]) -> str:
    """Replace texts, each of which a recipe has to hold."""
    for old, new in replacements.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextmanager
def nginx(server: str, folder: Path, **replacements: str) -> Iterator[Proxy]:
    """Run the recipe for nginx before the sync server at a URL.

    :param replacements: of ``burst``, say, by another number
    """
    port, authority = free_port(), Authority(folder)
    authority.sign("localhost")
    own = {"listen 443": f"listen 127.0.0.1:{port}"}
    recipe = replaced((RECIPES / "nginx.conf").read_text(), _places(server, folder) | own)
    for name, value in replacements.items():
        recipe, found = re.subn(rf"\b{name}=[\w/]+", f"{name}={value}", recipe)
        assert found, name
    (folder / "airflow-sync.conf").write_text(recipe)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(user + _NGINX.format(folder=folder))
    yield from _run(
        [program("nginx"), "-c", f"{folder}/nginx.conf", "-p", str(folder)], Proxy(_url(port), authority.path), folder
    )


@contextmanager
def caddy(server: str, folder: Path) -> Iterator[Proxy]:
    """Run the recipe for Caddy before the sync server at a URL."""
    port, authority = free_port(), Authority(folder)
    authority.sign("localhost")
    # Neither the port of its commands nor that of plain HTTP is a test's to take.
    own = {
        "\nsource.example {": f"\nhttps://localhost:{port} {{",
        "{\n\tservers {": "{\n\tadmin off\n\tauto_https off\n\tservers {",
    }
    recipe = replaced((RECIPES / "Caddyfile").read_text(), _places(server, folder) | own)
    (folder / "Caddyfile").write_text(recipe)
    command = [program("caddy"), "run", "--adapter", "caddyfile", "--config", f"{folder}/Caddyfile"]
    yield from _run(command, Proxy(_url(port), authority.path), folder)


@contextmanager
def traefik(server: str, folder: Path, **replacements: int) -> Iterator[Proxy]:
    """Run the recipe for Traefik before the sync server at a URL.

    :param replacements: of ``burst``, say, by another number
    """
    port, authority = free_port(), Authority(folder)
    authority.sign("localhost")
    own = {"source.example`": "localhost`"}
    recipe = replaced((RECIPES / "traefik-airflow-sync.yaml").read_text(), _places(server, folder) | own)
    for name, value in replacements.items():
        recipe, found = re.subn(rf"\b{name}: \d+", f"{name}: {value}", recipe)
        assert found, name
    (folder / "airflow-sync.yaml").write_text(recipe)
    own = {'":443"': f'"127.0.0.1:{port}"', "/etc/traefik/airflow-sync.yaml": f"{folder}/airflow-sync.yaml"}
    (folder / "traefik.yaml").write_text(replaced((RECIPES / "traefik.yaml").read_text(), own))
    yield from _run([program("traefik"), f"--configFile={folder}/traefik.yaml"], Proxy(_url(port), authority.path), folder)


PROXIES: Mapping[str, Callable[[str, Path], AbstractContextManager[Proxy]]] = {
    "nginx": nginx,
    "caddy": caddy,
    "traefik": traefik,
}


def _places(server: str, folder: Path) -> dict[str, str]:
    return {
        "127.0.0.1:8765": urlsplit(server).netloc,
        "/etc/ssl/source.example.pem": f"{folder}/localhost.pem",
        "/etc/ssl/source.example.key": f"{folder}/localhost.pem",
    }


def _url(port: int) -> str:
    return f"https://localhost:{port}/api/sync"


def _run(command: list[str], proxy: Proxy, folder: Path) -> Iterator[Proxy]:
    environment = os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    try:
        _wait_until_it_answers(process, proxy, folder / "log")
        yield proxy
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_it_answers(process: subprocess.Popen[bytes], proxy: Proxy, log: Path) -> None:
    until = time.monotonic() + 30
    trusted = ssl.create_default_context(cafile=str(proxy.authority))
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        connection = HTTPSConnection(urlsplit(proxy.url).netloc, context=trusted, timeout=10)
        try:
            connection.request("GET", "/api/sync/health")
            if connection.getresponse().status == 200:
                return
        except (ConnectionError, ssl.SSLError):
            # Traefik listens before it has read its routes and certificates.
            pass
        finally:
            connection.close()
        time.sleep(0.05)
