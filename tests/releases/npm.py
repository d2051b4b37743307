"""Packages of the npm registry, of which only the files are wanted."""

from __future__ import annotations

import tarfile
from pathlib import Path

from tests.releases.cache import run


def unpack(package: str, version: str, folder: Path) -> Path:
    """Unpack a package into a folder, and return where its files are.

    :raises CannotFetchError: when it is not to be had here, or npm is not installed
    """
    name = run(["npm", "pack", "--silent", f"{package}@{version}"], folder=folder).split()[-1]
    with tarfile.open(folder / name) as archive:
        archive.extractall(folder, filter="data")
    (folder / name).unlink()
    return folder / "package"
