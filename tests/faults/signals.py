"""Signals that ask a command to end: it cleans up, and ends with the code that shells expect."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from airflow_provider_sync.cli.main import main
from tests.database_servers import MARIADB, MYSQL, POSTGRESQL, SQLITE, DatabaseServers
from tests.faults.crashes import count_steps
from tests.faults.forks import ForkedServer, Fuse, ended, forked
from tests.faults.kinds import Kind, Trial
from tests.faults.site import site
from tests.faults.states import Violation, check_whole
from tests.faults.streams import expect_new_from


@contextmanager
def signalled(servers: DatabaseServers, folder: Path, *, number: signal.Signals, **options: Any) -> Iterator[Trial]:
    """Send a signal to ``airflow-sync run`` at one of its steps."""
    with site(servers, folder, **options) as made, ForkedServer(made) as server:
        file = folder / "client.yaml"
        file.write_text(yaml.safe_dump(made.client_settings(server.url)))
        steps = count_steps(made, server.url)

        def trial(chance: random.Random) -> str:
            made.reset()
            made.disconnect()
            code = ended(forked(partial(_run, file, number, chance.randint(1, steps))))
            # Before the command is ready for it, a signal does what it always does.
            if code not in (0, 128 + number, -number):
                raise Violation(f"the command ended with {code}")
            found = made.state()
            outcome = check_whole(found, made.old, made.new)
            if code == 0 and found != made.new:
                raise Violation(f"the command ended with 0, but the target is {outcome}")
            if found.leftovers:
                raise Violation(f"left behind: {', '.join(found.leftovers)}")
            expect_new_from(made, server.url)
            return outcome

        yield trial


def _run(file: Path, number: signal.Signals, at: int) -> int:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    Fuse(at, partial(os.kill, os.getpid(), number)).light()
    try:
        code = main(["run", "--config", str(file)])
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT  # before the command is ready for it, as Python has it
    sys.setprofile(None)
    return code


KINDS = [
    Kind(
        f"{number.name.lower()}-{place}",
        f"the command gets {number.name} ({place})",
        partial(signalled, number=number, **options),
        60,
    )
    for number in (signal.SIGTERM, signal.SIGINT)
    for place, options in {
        "sqlite": {"target": SQLITE},
        "mariadb": {"target": MARIADB},
        "mysql": {"target": MYSQL},
        "postgresql": {"target": POSTGRESQL},
        "files": {"what": "files"},
    }.items()
]
