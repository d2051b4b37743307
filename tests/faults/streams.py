"""Faults of the network: bytes that are cut, flipped, doubled, left out or late, at any place of a sync."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from airflow_provider_sync.report import Report
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.database_servers import MARIADB, MYSQL, POSTGRESQL, DatabaseServers
from tests.faults.kinds import Kind, Trial
from tests.faults.proxy import ANSWERS, REQUESTS, Damage, Proxy, delayed, doubled, dropped, flipped
from tests.faults.site import DIFFERENCE, FIRST, Site, site
from tests.faults.states import Violation, check_reports, check_whole

TIMEOUT = 2.0
"""Seconds that a client waits for the next piece while it is disturbed: bytes that were left out never come."""

PATIENCE = 60.0
"""Seconds that an undisturbed client waits."""

Change = Callable[[bytes, int], bytes]


@contextmanager
def disturbed(
    servers: DatabaseServers, folder: Path, *, damage: Callable[[random.Random, int, int], Damage], **options: Any
) -> Iterator[Trial]:
    """Sync through a proxy that does one damage at a random place of all the bytes that an undisturbed sync takes."""
    with site(servers, folder, **options) as made, RunningServer(made.server_config) as server, Proxy(server.url) as proxy:
        expect_new(made, proxy)
        sent, received = proxy.passed[REQUESTS], proxy.passed[ANSWERS]

        def trial(chance: random.Random) -> str:
            made.reset()
            proxy.set(damage(chance, sent, received))
            reports = made.sync(proxy.url, timeout=TIMEOUT, retries=chance.choice((0, 0, 2)))
            found = made.state()
            outcome = check_whole(found, made.old, made.new)
            check_reports(reports, found, made.old, made.new)
            proxy.set(None)
            expect_new(made, proxy)
            return outcome

        yield trial


def expect_new(made: Site, proxy: Proxy) -> None:
    """Sync undisturbed, and check that everything has arrived and nothing is left over."""
    expect_new_from(made, proxy.url)


def expect_new_from(made: Site, url: str, sync: Callable[..., Sequence[Report]] | None = None) -> None:
    """Sync from the server at ``url``, and check that everything has arrived and nothing is left over.

    :param sync: how; in one go unless given
    """
    reports = (sync or made.sync)(url, timeout=PATIENCE)
    found = made.state()
    failed = [f"{report.name}: {report.error}" for report in reports if report.status == "failed"]
    if failed or found != made.new:
        raise Violation(f"the next run did not succeed: {'; '.join(failed) or check_whole(found, made.new, made.new)}")
    if found.leftovers:
        raise Violation(f"the next run left behind: {', '.join(found.leftovers)}")


def _answer(change: Callable[[random.Random], Change | None]) -> Callable[[random.Random, int, int], Damage]:
    return lambda chance, sent, received: Damage(ANSWERS, chance.randrange(received), change(chance))


def _request(change: Callable[[random.Random], Change | None]) -> Callable[[random.Random, int, int], Damage]:
    return lambda chance, sent, received: Damage(REQUESTS, chance.randrange(sent), change(chance))


_DAMAGES: dict[str, tuple[str, Callable[[random.Random, int, int], Damage]]] = {
    "cut": ("an answer is cut", _answer(lambda chance: None)),
    "flip": ("one bit of an answer is flipped", _answer(lambda chance: flipped(chance.randrange(8)))),
    "double": ("bytes of an answer come twice", _answer(lambda chance: doubled(chance.choice((1, 7, 100, 4000))))),
    "drop": ("bytes of an answer are left out", _answer(lambda chance: dropped(chance.choice((1, 7, 100, 4000))))),
    "late": ("an answer stops for a moment", _answer(lambda chance: delayed(0.02))),
    "cut-request": ("a request is cut", _request(lambda chance: None)),
    "flip-request": ("one bit of a request is flipped", _request(lambda chance: flipped(chance.randrange(8)))),
}

_SITES: dict[str, tuple[dict[str, Any], float]] = {
    "tables-1": ({"protocol": "1", "shape": DIFFERENCE}, 1),
    "tables-2-first": ({"shape": FIRST}, 1),
    "tables-2": ({"shape": DIFFERENCE}, 1),
    "files": ({"what": "files", "shape": DIFFERENCE}, 2),
    "mariadb": ({"target": MARIADB, "shape": DIFFERENCE}, 0.3),
    "mysql": ({"target": MYSQL, "shape": DIFFERENCE}, 0.3),
    "postgresql": ({"target": POSTGRESQL, "shape": DIFFERENCE}, 0.3),
    "mariadb-first": ({"target": MARIADB, "shape": FIRST}, 0.3),
    "postgresql-first": ({"target": POSTGRESQL, "shape": FIRST}, 0.3),
}
"""What is synced, and how many tries of each damage it gets, as a share."""

KINDS = [
    Kind(
        name=f"{damage}-{place}",
        tells=f"{_DAMAGES[damage][0]} ({place})",
        prepared=partial(disturbed, damage=_DAMAGES[damage][1], **_SITES[place][0]),
        tries=round(200 * _SITES[place][1]),
    )
    for damage, place in product(_DAMAGES, _SITES)
]
