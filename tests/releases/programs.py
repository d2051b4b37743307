"""Where the programs of database servers are: those of this machine, or of the release that tests run on.

`SYNC_TEST_MARIADB_PROGRAMS` and `SYNC_TEST_POSTGRESQL_PROGRAMS` name folders that are looked into first.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def setting(engine: str) -> str:
    """Return the name of the variable of the environment that names an engine's folder."""
    return f"SYNC_TEST_{engine.upper()}_PROGRAMS"


def program(engine: str, name: str) -> str | None:
    """Return the path of a program; ``None`` where it is not installed."""
    # Ordinary users often have no sbin in their PATH.
    folders = [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]
    named = os.environ.get(setting(engine))
    return shutil.which(name, path=named or os.pathsep.join(folders))


def postgresql_program(name: str) -> str | None:
    """Return the path of one of PostgreSQL's programs, of the newest version; ``None`` where there is none."""
    engine = "postgresql"
    if setting(engine) not in os.environ:
        versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
        if versions:
            return str(versions[-1])
    return program(engine, name)
