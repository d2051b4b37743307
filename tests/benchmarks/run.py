"""The benchmark: what a sync costs, beside what a user would run instead, in one run on one machine.

Every half runs in a process of its own, so that its peak memory can be told. Ratios are what counts; seconds are this
machine's. Run it by ``make bench``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import files, tables
from tests.benchmarks.result import Result, show
from tests.database_servers import DatabaseServers

SECTIONS: dict[str, Callable[[DatabaseServers, Path, float], list[Result]]] = {
    "serving": tables.serving,
    "version-1": tables.version_1,
    "mariadb": tables.mariadb,
    "mariadb-text-key": tables.mariadb_text_key,
    "postgresql": tables.postgresql,
    "sqlite": tables.sqlite,
    "files": files.first_and_unchanged,
}

LONG: dict[str, Callable[[DatabaseServers, Path, float], list[Result]]] = {"memory": tables.memory}
"""Run only when named."""


def main() -> None:
    """Run the chosen sections and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", choices=[[], *SECTIONS, *LONG], help="which parts (default: all but memory)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply rows and files by this")
    options = parser.parse_args()
    results: list[Result] = []
    servers = DatabaseServers()
    try:
        with tempfile.TemporaryDirectory(prefix="sync-bench-") as folder:
            for name in options.sections or SECTIONS:
                results += {**SECTIONS, **LONG}[name](servers, Path(folder), options.scale)
    finally:
        servers.stop()
    print(show(results))


if __name__ == "__main__":
    main()
