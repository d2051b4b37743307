"""SQLite libraries of other releases, compiled from the source that packages of the npm registry hold."""

from __future__ import annotations

from pathlib import Path

from tests.releases import npm
from tests.releases.cache import cached, run

_SOURCE = "package/deps/sqlite3/sqlite3.c"
_LIBRARY = "libsqlite3.so.0"
# What Python's module needs, or distributions set.
_DEFINES = ("THREADSAFE=1", "ENABLE_COLUMN_METADATA", "ENABLE_MATH_FUNCTIONS", "ENABLE_FTS5", "ENABLE_RTREE")


def install(version: str) -> Path:
    """Return the folder with the shared library of a release, compiled if need be; `LD_LIBRARY_PATH` makes Python use it.

    :param version: of the npm package that holds the source
    :raises CannotFetchError: when it is not to be had here
    """

    def fetch(folder: Path) -> str:
        npm.unpack("better-sqlite3", version, folder)
        defines = [f"-DSQLITE_{name}" for name in _DEFINES]
        shared = ["-shared", "-fPIC", f"-Wl,-soname,{_LIBRARY}", "-o", str(folder / _LIBRARY)]
        run(["cc", "-O1", *defines, *shared, str(folder / _SOURCE), "-lm", "-lpthread", "-ldl"], folder=folder)
        return version

    return cached("sqlite", version, fetch)
