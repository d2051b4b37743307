"""Packages of another suite of Debian, unpacked into a folder without being installed.

Everything is fetched by apt's own client with a state of its own, from the mirror and with the keys that this machine is set up
with, so the system's package database is neither read nor changed.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.releases.cache import CannotFetchError, run

# Only maintenance scripts need them, and they are a third of the download.
_LEFT_OUT = re.compile(r"^(perl|libperl|dpkg$|tar$|debconf)")
_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def unpack(package: str, suite: str, folder: Path) -> str:
    """Unpack a package and all that it needs, its C library too; return its version.

    :raises CannotFetchError: when that is not to be had here
    """
    with TemporaryDirectory(prefix="apt-", dir=folder.parent) as work:
        apt = _Apt(Path(work), suite)
        apt.run("update")
        packages = apt.packages(package)
        debs = Path(work) / "debs"
        debs.mkdir()
        apt.run("download", *(f"{name}={version}" for name, version in packages.items()), folder=debs)
        for deb in sorted(debs.glob("*.deb")):
            _unpack(deb, folder)
    return packages[package]


def with_own_libraries(root: Path, program: str) -> list[str]:
    """Return the command that starts an unpacked program with the C library that it was built with.

    By itself it would load this machine's, which may be older.

    :param program: its path below the root
    :raises CannotFetchError: when it is not there
    """
    libraries = [path for place in ("usr/lib", "lib") for path in root.glob(f"{place}/*-linux-*")]
    loader = next((found for folder in libraries for found in folder.glob("ld-linux*.so.*")), None)
    if loader is None or not (root / program).exists():
        raise CannotFetchError(f"{root} holds no {program}. Remove the folder, it is fetched again")
    folders = [*libraries, root / "usr/lib/mysql/private"]
    return [str(loader), "--library-path", os.pathsep.join(map(str, folders)), str(root / program)]


def _unpack(deb: Path, root: Path) -> None:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as source:
        unpacked = subprocess.run(
            ["tar", "-x", "--no-same-owner", "--keep-directory-symlink", "-C", str(root)],
            stdin=source.stdout,
            capture_output=True,
            text=True,
            check=False,
        )
    if unpacked.returncode != 0 or source.returncode != 0:
        raise CannotFetchError(f"{deb.name} cannot be unpacked: {unpacked.stderr.strip()[-500:]}")
    # The root of an archive is in some of them, with the rights of whoever packed it.
    root.chmod(0o755)


class _Apt:
    """The machine's apt client with a package state in a folder of ours, which sees one suite and nothing installed."""

    def __init__(self, folder: Path, suite: str) -> None:
        mirror = _mirror()
        state = folder / "apt"
        for part in ("lists/partial", "cache/archives/partial"):
            (state / part).mkdir(parents=True)
        (state / "status").touch()
        signed_by = f" [signed-by={_KEYS}]" if _KEYS.exists() else ""
        (state / "sources.list").write_text(f"deb{signed_by} {mirror} {suite} main\n")
        settings = {
            "Dir::State": state,
            "Dir::State::status": state / "status",
            "Dir::Cache": state / "cache",
            "Dir::Etc::sourcelist": state / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::Etc::preferences": "-",
            "Dir::Etc::preferencesparts": "-",
            "Acquire::Languages": "none",
            # apt's own user cannot get into our folder.
            "APT::Sandbox::User": "root",
            "Acquire::Retries": "3",
        }
        self._options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        self._folder = folder
        self._suite = suite

    def packages(self, wanted: str) -> dict[str, str]:
        """Return name and version of a package and of all it needs."""
        plan = self.run("-s", "--no-install-recommends", "install", wanted)
        found = dict(re.findall(r"^Inst (\S+) \((\S+)", plan, flags=re.MULTILINE))
        if wanted not in found:
            raise CannotFetchError(f"{self._suite} has no {wanted} that can be installed today")
        return {name: version for name, version in found.items() if not _LEFT_OUT.match(name)}

    def run(self, *arguments: str, folder: Path | None = None) -> str:
        """Run apt-get and return its output."""
        return run(["apt-get", "-q", *self._options, *arguments], folder=folder or self._folder)


def _mirror() -> str:
    """Return the mirror of Debian that this machine's apt is set up with."""
    # Unlike `indextargets`, this also answers where the lists were never fetched.
    asked = run(["apt-get", "update", "--print-uris"], folder=Path("/"))
    found = re.search(r"^'(\S+/debian)/dists/", asked, flags=re.MULTILINE)
    if found is None:
        raise CannotFetchError("apt is set up here without a mirror of Debian")
    return found[1]
