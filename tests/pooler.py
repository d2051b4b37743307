"""pgbouncer before a PostgreSQL server of the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from sqlalchemy import URL, make_url

from tests.database_server import free_port

SETTINGS = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = {mode}
server_round_robin = 1
"""


@contextmanager
def pooler(url: str, mode: str, *, settings: str = "") -> Iterator[str]:
    """Run pgbouncer before the server of ``url``, and give the URL that goes through it.

    :param mode: ``transaction`` or ``session``
    :param settings: further lines of its configuration
    """
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("no pgbouncer", pytrace=False)
        pytest.skip("no pgbouncer (Debian: pgbouncer)")
    with TemporaryDirectory(prefix="sync-pooler-") as folder:
        yield from _run(program, make_url(url), Path(folder), mode, settings)


def _run(program: str, server: URL, folder: Path, mode: str, settings: str) -> Iterator[str]:
    listen = free_port()
    (folder / "users.txt").write_text(f'"{server.username}" ""\n')
    (folder / "pgbouncer.ini").write_text(
        SETTINGS.format(host=server.host, port=server.port, listen=listen, folder=folder, mode=mode) + settings
    )
    user = pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None
    if user is not None:
        for path in (folder, *folder.iterdir()):
            os.chown(path, user, -1)
    process = subprocess.Popen([program, "-q", folder / "pgbouncer.ini"], stdin=subprocess.DEVNULL, user=user)
    try:
        through = server.set(host="127.0.0.1", port=listen)
        _wait(process, through.set(drivername="postgresql", database="postgres").render_as_string(), listen)
        yield through.render_as_string(hide_password=False)
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, port: int) -> None:
    """Wait until it answers."""
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
    else:
        pytest.fail(f"pgbouncer ended with {process.returncode}")
    try:
        psycopg.connect(url, autocommit=True).close()
    except psycopg.OperationalError as error:
        pytest.fail(f"pgbouncer does not answer: {error}")
