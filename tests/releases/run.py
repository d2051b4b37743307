"""Run the contract of databases on other releases: ``make test-versions``, or ``python -m tests.releases.run mariadb``.

The oldest and the newest release of each engine that can be had here, beside the one that all other tests run on. A release
that cannot be had is named, and is no failure: mirrors drop old suites, and not every machine has npm.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tests.database_servers import MARIADB, POSTGRESQL, SQLITE
from tests.releases import mariadb, one_engine, postgresql, programs, sqlite
from tests.releases.cache import CannotFetchError

PROJECT = Path(__file__).parents[2]
TESTS = (
    "tests/databases",
    "tests/merge/test_merge.py",
    "tests/merge/test_merge_constraints.py",
    "tests/merge/test_unique_keys.py",
    "tests/merge/test_unique_moves.py",
    "tests/merge/test_staging.py",
    "tests/sync/tables/version2/test_source.py",
    "tests/sync/tables/test_modes.py",
    "tests/sync/tables/test_schema_changes.py",
)
"""What stands on the contract of databases: the contract itself, merges, and syncs from the engine to itself."""

DONE, FAILED = 0, 1


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """One release of an engine.

    :ivar install: returns the folder of its programs or library
    :ivar setting: variable of the environment by which the tests find that folder
    """

    engine: str
    version: str
    install: Callable[[], Path]
    setting: str


def _mariadb(version: str, package: str, suite: str) -> Release:
    return Release(
        engine=MARIADB,
        version=version,
        install=lambda: mariadb.install(package, suite, version),
        setting=programs.setting(MARIADB),
    )


def _postgresql(version: str, package: str) -> Release:
    return Release(
        engine=POSTGRESQL,
        version=version,
        install=lambda: postgresql.install(package),
        setting=programs.setting(POSTGRESQL),
    )


def _sqlite(version: str, package: str) -> Release:
    return Release(engine=SQLITE, version=version, install=lambda: sqlite.install(package), setting="LD_LIBRARY_PATH")


# Those that take longest first, so that no release runs alone at the end.
RELEASES = (
    _mariadb("10.5", "mariadb-server-core-10.5", "bullseye"),
    _mariadb("11.8", "mariadb-server-core", "trixie"),
    _postgresql("13.23", "13.23.0-beta.16"),
    _postgresql("18.4", "18.4.0-beta.17"),
    _sqlite("3.37.2", "7.5.0"),
    _sqlite("3.54.1", "13.2.0"),
)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the tests on one release.

    :ivar missing: why there were none
    """

    summary: str = ""
    failed: bool = False
    missing: str | None = None
    seconds: float = 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tests on the chosen releases, print what came of it, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help="such as mariadb, or mariadb-10.5 (default: all)")
    parser.add_argument("--workers", type=int, default=3, help="processes at once")
    chosen = parser.parse_args(arguments)
    releases = [
        release
        for release in RELEASES
        if not chosen.engines or {release.engine, f"{release.engine}-{release.version}"} & set(chosen.engines)
    ]
    if not releases:
        parser.error(f"no release of {', '.join(chosen.engines)} is known")
    with ThreadPoolExecutor(chosen.workers) as pool:
        workers = chosen.workers // len(releases)
        outcomes = dict(zip(releases, pool.map(partial(_outcome, workers=workers), releases), strict=True))
    _print(outcomes)
    return FAILED if any(outcome.failed for outcome in outcomes.values()) else DONE


def _outcome(release: Release, *, workers: int) -> Outcome:
    """Run the tests on a release, and print what they say when they have ended.

    :param workers: of this release; below two, the tests run in one process, as is best where releases run side by side: each
        worker collects all tests again, and starts a server of its own
    """
    try:
        folder = release.install()
        environment = {**os.environ, "CI": "true", release.setting: str(folder), one_engine.ENGINE: release.engine}
        _check(release, environment)
    except CannotFetchError as exc:
        return Outcome(missing=str(exc))
    begun = time.monotonic()
    options = ["-q", "-p", one_engine.__name__, "-p", "no:cacheprovider", "-m", "not slow"]
    if workers > 1:
        options += ["-n", str(workers)]
    command = [sys.executable, "-m", "pytest", *options, *TESTS]
    tests = subprocess.run(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    print(f"{release.engine} {release.version}\n{tests.stdout}", flush=True)
    # What pytest says last is how many passed.
    last = tests.stdout.strip().rpartition("\n")[2]
    summary = re.sub(r" in [\d.]+s.*", "", last.strip("= "))
    return Outcome(summary=summary, failed=tests.returncode != 0, seconds=time.monotonic() - begun)


def _check(release: Release, environment: dict[str, str]) -> None:
    """Make sure that Python loads the SQLite that it is told to; servers say themselves what they are."""
    if release.engine == SQLITE:
        ask = [sys.executable, "-c", "import sqlite3; print(sqlite3.sqlite_version)"]
        found = subprocess.run(ask, env=environment, capture_output=True, text=True, check=True).stdout.strip()
        if found != release.version:
            raise CannotFetchError(f"this Python brings its own SQLite, {found}")


def _print(outcomes: dict[Release, Outcome]) -> None:
    table = Table("release", "tests", "seconds")
    for release, outcome in outcomes.items():
        told = f"not run: {outcome.missing}" if outcome.missing else outcome.summary
        table.add_row(f"{release.engine} {release.version}", told, f"{outcome.seconds:.0f}")
    Console(width=None if sys.stdout.isatty() else 140).print(table)


if __name__ == "__main__":
    sys.exit(main())
