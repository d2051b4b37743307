"""A program that has the core: from an environment without Airflow, or from one file."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.site import Site
from tests.installing import try_to_call


@contextmanager
def serving(*command: str | Path) -> Iterator[str]:
    """Run `serve`, and give its URL."""
    server = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield server.stdout.readline().split()[-1]
    finally:
        server.terminate()
        assert server.wait(60) == 0
        server.stdout.close()


def sync(site: Site, *program: str | Path) -> None:
    """Serve a site's source by a program, and bring its target in step by the same program."""
    with serving(*program, "serve", "--config", site.server_config, "--port", "0") as url:
        site.configure(url)
        # Progress, which a slow machine has time for, is no part of the result.
        ended = try_to_call(*program, "run", "--config", site.config, "--json", stderr=None)
    assert [report["status"] for report in json.loads(ended.stdout)] == ["changed"] * 3
    assert (len(site.rows("orders")), len(site.rows("customers")), site.files()) == (3, 3, ["a.png"])
