"""MariaDB servers from other suites of Debian, as programs that are started like installed ones."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.releases import debian
from tests.releases.cache import cached, run

_SYSTEM_TABLES = ("*_system_tables.sql", "*_performance_tables.sql", "*_system_tables_data.sql", "*_sys_schema.sql")
"""The scripts that a new server runs once, in this order; old releases have not all of them."""


def install(package: str, suite: str, version: str) -> Path:
    """Return the folder with the programs `mariadbd` and `mariadb-install-db`, fetched if need be.

    :param version: what Debian's version begins with
    :raises CannotFetchError: when they are not to be had here
    """

    def fetch(folder: Path) -> str:
        root = folder / "root"
        root.mkdir(mode=0o755)
        found = debian.unpack(package, suite, root).partition(":")[2]
        run([*_server(root), "--version"], folder=root)
        return found

    folder = cached("mariadb", f"{version}*", fetch)
    programs = folder / "programs"
    programs.mkdir(mode=0o755, exist_ok=True)
    _write_programs(folder / "root", programs)
    return programs


def _server(root: Path) -> list[str]:
    return debian.with_own_libraries(root, "usr/sbin/mariadbd")


def _write_programs(root: Path, programs: Path) -> None:
    """Write both programs as scripts that know where the rest is."""
    share = next(path for path in (root / "usr/share/mariadb", root / "usr/share/mysql") if (path / "charsets").exists())
    places = [f"--basedir={root / 'usr'}", f"--lc-messages-dir={share}", f"--character-sets-dir={share / 'charsets'}"]
    places.append(f"--plugin-dir={root / 'usr/lib/mysql/plugin'}")
    server = f'{shlex.join(_server(root))} "$@" {shlex.join(places)}'
    statements = shlex.join(str(path) for pattern in _SYSTEM_TABLES for path in sorted(share.glob(pattern)))
    _write(programs / "mariadbd", f"exec {server}")
    _write(
        programs / "mariadb-install-db",
        # These options are for the script of that name, not for the server that does its work here.
        'for option; do shift; case $option in --skip-test-db|--auth-*) ;; *) set -- "$@" "$option" ;; esac; done\n'
        # A statement ends with its line.
        f"{{ echo 'CREATE DATABASE IF NOT EXISTS mysql;'; echo 'USE mysql;'; cat {statements}; }} | {server} --bootstrap",
    )


def _write(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
