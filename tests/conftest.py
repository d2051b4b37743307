"""What every test may ask for: fresh, empty databases on every engine, and an Airflow home that is not the user's."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import shutil
import signal
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any, NoReturn

import pytest
import uvicorn.server
from _pytest.mark.structures import ParameterSet
from hypothesis import settings

from airflow_provider_sync import redaction
from tests import celery_workers
from tests.airflow_stack import AirflowStack
from tests.celery_workers import CeleryStack
from tests.database_servers import DUCKDB, ENGINES, MARIADB, MYSQL, POSTGRESQL, SQLITE, DatabaseServers, ServerMissing
from tests.every_pair import needless
from tests.no_secrets import SecretsWatch
from tests.scenario import Scenario, opened


def _make_airflow_home() -> str:
    """Give Airflow, should a test import it, an empty home."""
    home = tempfile.mkdtemp(prefix="sync-airflow-")
    # What the developer's own Airflow is set to, its metadata database above all, has no place in a test.
    for name in [name for name in os.environ if name.startswith(("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_"))]:
        del os.environ[name]
    os.environ["AIRFLOW_HOME"] = home
    # The user's caches have no place there, either.
    os.environ["XDG_CACHE_HOME"] = f"{home}/cache"
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "True"
    return home


# Not in pytest_configure: the conftest of a folder that is named on the command line imports Airflow before that.
AIRFLOW_HOME = _make_airflow_home()


def pytest_configure(config: pytest.Config) -> None:
    """Remove that home in the end, and listen to Ctrl-C: a shell that starts the tests in the background ignores it for them.

    No example of a property has a time limit of its own, as in CI: on a busy machine any of them may take long.
    """
    settings.register_profile("patient", settings(), deadline=None)
    settings.load_profile("patient")
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.add_cleanup(lambda: shutil.rmtree(AIRFLOW_HOME, ignore_errors=True))
    config.pluginmanager.register(SecretsWatch())


# First, since pytest-xdist reads the groups in a hook of the same name.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out needless tests, run slow ones last, so that failures are found early; what shares an Airflow in one worker."""
    for item in items:
        if _is_slow_there(item):
            item.add_marker(pytest.mark.slow)
        if group := _shared_airflow(item):
            item.add_marker(pytest.mark.xdist_group(group))
    left_out = set(needless(items))
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]
    items.sort(key=_order)


def _order(item: pytest.Item) -> tuple[bool, float]:
    """Return what tests are sorted by: quick before slow ones, and of these what may take longest before the rest.

    A long test that began last would keep one worker busy while the others have nothing left to do.
    """
    slow = item.get_closest_marker("slow") is not None
    limit = item.get_closest_marker("timeout")
    return slow, -limit.args[0] if slow and limit else 0.0


def pytest_collection_finish() -> None:
    """Keep the garbage collector off what is there for good: modules of Airflow, and thousands of tests."""
    gc.collect()
    gc.freeze()


def _shared_airflow(item: pytest.Item) -> str | None:
    """Return the name of the Airflow that a test shares with others.

    That is a whole installation, or the parts of Airflow that run DAGs and answer requests inside the process of the tests:
    the first use in a process takes ten seconds, each further one less than one.
    """
    for stack in ("airflow_stack", "celery_stack"):
        if stack in getattr(item, "fixturenames", ()):
            return stack
    in_process = {"run_dag", "ApiServer"} & vars(getattr(item, "module", None) or object).keys()
    return "airflow_in_process" if in_process else None


def _is_slow_there(item: pytest.Item) -> bool:
    """Whether `make test` leaves a test out for the engine that its parameters name."""
    quick = item.get_closest_marker("quick_on")
    if quick is None and not _takes_turns(item):
        return False
    parameters = item.name.partition("[")[2].rstrip("]")
    engines = quick.args if quick else _engines_in_turn(item)
    return not re.search(rf"(^|-)({'|'.join(engines)})(-(?!to-)|$)", parameters)


def _takes_turns(item: pytest.Item) -> bool:
    """Whether a test runs on each engine, and nobody chose some of them."""
    if any("database_url" in mark.args[0] for mark in item.iter_markers("parametrize")):
        return False
    return "database_url" in getattr(getattr(item, "callspec", None), "params", {})


def _engines_in_turn(item: pytest.Item) -> tuple[str, ...]:
    """Return engines that stand for all, always the same ones for a test, and each for as many tests.

    That is an engine without and one with a server; for tests of statements, all but one of the two that share a package.
    """
    number = zlib.crc32(item.nodeid.partition("[")[0].encode())
    if {"databases", "merge"} & set(item.path.relative_to(item.config.rootpath).parts):
        return SQLITE, POSTGRESQL, DUCKDB, (MARIADB, MYSQL)[number % 2]
    return (SQLITE, DUCKDB)[number % 2], (MARIADB, MYSQL, POSTGRESQL)[number // 2 % 3]


class _QuickAsyncio:
    """The module ``asyncio``, with pauses of a tenth of their length."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 10)


@pytest.fixture(scope="session", autouse=True)
def _servers_end_quickly() -> Iterator[None]:
    """Have uvicorn look every hundredth of a second, not every tenth, whether it is told to stop: thousands of servers do."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(uvicorn.server, "asyncio", _QuickAsyncio())
        yield


@pytest.fixture(autouse=True)
def _secrets_of_one_test() -> Iterator[None]:
    """Have the package forget the secrets of a test: common words among them would be hidden from the next one."""
    before = redaction._SECRETS._patterns
    yield
    # Never changed in place.
    redaction._SECRETS._patterns = before


@pytest.fixture(scope="session")
def database_servers() -> Iterator[DatabaseServers]:
    """Give the session's database servers, which start when first used and stop at its end."""
    servers = DatabaseServers()
    try:
        yield servers
    finally:
        servers.stop()


@pytest.fixture(scope="session")
def airflow_stack(database_servers: DatabaseServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowStack]:
    """Give a whole Airflow that runs what is put into its DAGs folder; it starts when first used.

    The session's tests share it: each brings DAGs and connections with ids of its own.
    """
    directory = tmp_path_factory.mktemp("airflow")
    with ExitStack() as stack:
        url = _enter(stack, database_servers, directory, POSTGRESQL)
        yield stack.enter_context(AirflowStack(directory / "home", url))


@pytest.fixture(scope="session")
def celery_stack(database_servers: DatabaseServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CeleryStack]:
    """Give a whole Airflow whose tasks are run by two of Celery's workers that share nothing; the session's tests share it."""
    if missing := celery_workers.missing():
        _skip(f"no {missing}")
    directory = tmp_path_factory.mktemp("celery")
    with ExitStack() as stack:
        url = _enter(stack, database_servers, directory, POSTGRESQL)
        yield stack.enter_context(celery_workers.celery_stack(directory, url))


@pytest.fixture
def sqlite_url(database_servers: DatabaseServers, tmp_path: Path) -> Iterator[str]:
    """Give the URL of a fresh SQLite database."""
    yield from _databases(database_servers, tmp_path, SQLITE)


@pytest.fixture
def mariadb_url(database_servers: DatabaseServers, tmp_path: Path) -> Iterator[str]:
    """Give the URL of a fresh MariaDB database; LOAD DATA LOCAL is allowed."""
    yield from _databases(database_servers, tmp_path, MARIADB)


@pytest.fixture
def mysql_url(database_servers: DatabaseServers, tmp_path: Path) -> Iterator[str]:
    """Give the URL of a fresh MySQL database; LOAD DATA LOCAL and SHA1 are missing, as shipped."""
    yield from _databases(database_servers, tmp_path, MYSQL)


@pytest.fixture
def postgresql_url(database_servers: DatabaseServers, tmp_path: Path) -> Iterator[str]:
    """Give the URL of a fresh PostgreSQL database; its text order is a natural language's."""
    yield from _databases(database_servers, tmp_path, POSTGRESQL)


@pytest.fixture
def duckdb_url(database_servers: DatabaseServers, tmp_path: Path) -> Iterator[str]:
    """Give the URL of a fresh DuckDB database."""
    yield from _databases(database_servers, tmp_path, DUCKDB)


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest, database_servers: DatabaseServers, tmp_path: Path) -> Iterator[str]:
    """Give the URL of a fresh database, once for each engine."""
    yield from _databases(database_servers, tmp_path, request.param)


def _pairs() -> Iterator[ParameterSet]:
    """Yield pairs of engines; `make test` runs those where each engine stands next to the one before it.

    Each engine's package meets each other's, in both roles. MariaDB and MySQL share one, so each pair has one of the two.
    """
    following = {(ENGINES[number - 1], engine) for number, engine in enumerate(ENGINES)}
    alike = {(engine, engine) for engine in ENGINES}
    for source, target in product(ENGINES, repeat=2):
        if (source, target) in following | alike | _FAR_PAIRS:
            marks = [] if (source, target) in following else [pytest.mark.slow]
            yield pytest.param((source, target), id=f"{source}-to-{target}", marks=marks)


_FAR_PAIRS = {
    (SQLITE, POSTGRESQL),
    (SQLITE, DUCKDB),
    (MARIADB, DUCKDB),
    (MYSQL, SQLITE),
    (POSTGRESQL, SQLITE),
    (POSTGRESQL, MARIADB),
    (DUCKDB, MYSQL),
    (DUCKDB, POSTGRESQL),
}


@pytest.fixture(params=_pairs())
def pair_urls(request: pytest.FixtureRequest, database_servers: DatabaseServers, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Give the URLs of two fresh databases, source and target, once for each pair of engines."""
    source, target = request.param
    with ExitStack() as stack:
        yield _enter(stack, database_servers, tmp_path, source), _enter(stack, database_servers, tmp_path, target)


def _databases(servers: DatabaseServers, directory: Path, engine: str) -> Iterator[str]:
    with ExitStack() as stack:
        yield _enter(stack, servers, directory, engine)


def _enter(stack: ExitStack, servers: DatabaseServers, directory: Path, engine: str) -> str:
    try:
        return stack.enter_context(servers.database(engine, directory))
    except ServerMissing as exc:
        _skip(f"no {engine}: {exc}")


def _skip(reason: str) -> NoReturn:
    """Leave out what needs something that is not installed; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def on(database_url: str) -> Iterator[Scenario]:
    """Give a fresh database of each engine."""
    yield from _scenario(database_url)


@pytest.fixture
def sqlite_on(sqlite_url: str) -> Iterator[Scenario]:
    """Give a fresh SQLite database."""
    yield from _scenario(sqlite_url)


@pytest.fixture
def duckdb_on(duckdb_url: str) -> Iterator[Scenario]:
    """Give a fresh DuckDB database."""
    yield from _scenario(duckdb_url)


@pytest.fixture
def postgresql_on(postgresql_url: str) -> Iterator[Scenario]:
    """Give a fresh PostgreSQL database."""
    yield from _scenario(postgresql_url)


def _scenario(url: str) -> Iterator[Scenario]:
    with opened(url) as scenario:
        yield scenario


@pytest.fixture
def fruit(on: Scenario) -> Scenario:
    """Give a database with a table of three rows."""
    on.execute(
        "CREATE TABLE fruit (id INTEGER NOT NULL PRIMARY KEY, name {CASELESS})",
        "INSERT INTO fruit VALUES (1, 'apple'), (2, 'pear'), (3, 'plum')",
    )
    return on
