"""A real MySQL from Debian's unstable suite; Debian's stable releases carry MariaDB only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.releases import debian
from tests.releases.cache import CannotFetchError, cached, run

_PACKAGE, _SUITE = "mysql-server-core", "sid"


@dataclass(frozen=True, slots=True)
class Installation:
    """An unpacked MySQL server with the libraries it was built with."""

    root: Path

    def server_command(self) -> list[str]:
        """Return how mysqld is started, up to the options of the caller."""
        share = self.root / "usr/share/mysql"
        return [
            *debian.with_own_libraries(self.root, "usr/sbin/mysqld"),
            "--no-defaults",
            f"--basedir={self.root / 'usr'}",
            f"--lc-messages-dir={share}",
            f"--character-sets-dir={share / 'charsets'}",
            f"--plugin-dir={self.root / 'usr/lib/mysql/plugin'}",
        ]


def install() -> Installation:
    """Return the newest MySQL of the cache, or fetch one first.

    :raises CannotFetchError: when none is cached and none can be fetched
    """
    return Installation(cached("mysql", "[0-9]*", _fetch) / "root")


def _fetch(folder: Path) -> str:
    root = folder / "root"
    root.mkdir(mode=0o755)
    try:
        version = debian.unpack(_PACKAGE, _SUITE, root)
        run([*Installation(root).server_command(), "--version"], folder=root)
    except CannotFetchError as exc:
        raise CannotFetchError(f"{exc}. SYNC_TEST_MYSQL_URL names a running server") from exc
    return version
