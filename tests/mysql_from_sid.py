"""A real MySQL from Debian's unstable suite, unpacked into a cache folder without being installed.

Debian's stable releases carry MariaDB only. Everything is fetched by apt's own client with a state of its own, from the
mirror and with the keys that this machine is set up with, so the system's package database is neither read nor changed.
The result is kept by version: as long as one is there, nothing is fetched, and a day on which sid is broken costs only
machines that have none yet. `SYNC_TEST_CACHE` names another cache folder than the project's `.cache`.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = "mysql-server-core"
# Only maintenance scripts need it, and it is a third of the download.
_LEFT_OUT = re.compile(r"^(perl|libperl)")
_DEBIAN_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_FETCH_SECONDS = 600


class NoMySQL(Exception):
    """MySQL cannot be had here; the message says why."""


@dataclass(frozen=True, slots=True)
class Installation:
    """An unpacked MySQL server with the libraries it was built with."""

    root: Path

    def server_command(self) -> list[str]:
        """Return how mysqld is started, up to the options of the caller."""
        # mysqld would load this machine's older C library; its own loader with its own libraries does not.
        loader = next(self.root.glob("usr/lib/*-linux-*/ld-linux*.so.*"), None)
        server = self.root / "usr/sbin/mysqld"
        if loader is None or not server.exists():
            raise NoMySQL(f"{self.root} holds no MySQL server. Remove the folder, it is fetched again")
        libraries = [loader.parent, self.root / "usr/lib/mysql/private"]
        share = self.root / "usr/share/mysql"
        return [
            str(loader),
            "--library-path",
            os.pathsep.join(map(str, libraries)),
            str(server),
            "--no-defaults",
            f"--basedir={self.root / 'usr'}",
            f"--lc-messages-dir={share}",
            f"--character-sets-dir={share / 'charsets'}",
            f"--plugin-dir={self.root / 'usr/lib/mysql/plugin'}",
        ]

    def version(self) -> str:
        """Return what the server says of itself; raises NoMySQL when it does not run."""
        result = subprocess.run([*self.server_command(), "--version"], capture_output=True, text=True, timeout=60, check=False)
        if result.returncode != 0:
            raise NoMySQL(f"the server from sid does not run here: {result.stderr.strip()[-500:]}")
        return result.stdout.strip()


def install() -> Installation:
    """Return the newest MySQL of the cache, or fetch one first; safe in several processes at once.

    :raises NoMySQL: when none is cached and none can be fetched
    """
    cache = _cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        cached = sorted((path for path in cache.glob("*/root")), key=lambda path: path.stat().st_mtime)
        return Installation(cached[-1]) if cached else _fetch(cache)


def _cache_folder() -> Path:
    named = os.environ.get("SYNC_TEST_CACHE")
    if named:
        return Path(named).resolve() / "mysql"
    project = Path(__file__).resolve().parent.parent
    if os.geteuid() == 0 and not all(folder.stat().st_mode & 0o001 for folder in (project, *project.parents)):
        # The server runs as another user, who cannot get into a project in root's home.
        return Path("/var/tmp/airflow-provider-sync/mysql")
    return project / ".cache" / "mysql"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(cache: Path) -> Installation:
    for program in ("apt-get", "dpkg-deb", "tar"):
        if shutil.which(program) is None:
            raise NoMySQL(f"it comes from Debian's packages, and {program} is not installed. Or set SYNC_TEST_MYSQL_URL")
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=cache) as name:
        work = Path(name)
        apt = _Apt(work)
        apt.run("update")
        packages = apt.packages(_PACKAGE)
        debs = work / "debs"
        debs.mkdir()
        apt.run("download", *(f"{package}={version}" for package, version in packages.items()), folder=debs)
        root = work / "root"
        root.mkdir()
        for deb in sorted(debs.glob("*.deb")):
            _unpack(deb, root)
        # The unpacked tree is looked into by another user when we are root.
        root.chmod(0o755)
        Installation(root).version()
        final = cache / packages[_PACKAGE].replace(":", "_")
        final.mkdir()
        return Installation(root.rename(final / "root"))


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
        raise NoMySQL(f"{deb.name} cannot be unpacked: {unpacked.stderr.strip()[-500:]}")


class _Apt:
    """The machine's apt client with a package state in a folder of ours, which sees sid and nothing installed."""

    def __init__(self, folder: Path) -> None:
        mirror = _debian_mirror()
        state = folder / "apt"
        for part in ("lists/partial", "cache/archives/partial"):
            (state / part).mkdir(parents=True)
        (state / "status").touch()
        signed_by = f" [signed-by={_DEBIAN_KEYS}]" if _DEBIAN_KEYS.exists() else ""
        (state / "sources.list").write_text(f"deb{signed_by} {mirror} sid main\n")
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

    def packages(self, wanted: str) -> dict[str, str]:
        """Return name and version of a package and of all it needs."""
        plan = self.run("-s", "--no-install-recommends", "install", wanted)
        found = dict(re.findall(r"^Inst (\S+) \((\S+)", plan, flags=re.MULTILINE))
        if wanted not in found:
            raise NoMySQL(f"sid has no {wanted} that can be installed today")
        return {name: version for name, version in found.items() if not _LEFT_OUT.match(name)}

    def run(self, *arguments: str, folder: Path | None = None) -> str:
        """Run apt-get and return its output; raises NoMySQL with the end of what it said."""
        try:
            result = subprocess.run(
                ["apt-get", "-q", *self._options, *arguments],
                cwd=folder or self._folder,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_FETCH_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as exc:
            raise NoMySQL(f"apt-get {arguments[0]} did not end within {_FETCH_SECONDS} seconds") from exc
        if result.returncode != 0:
            words = " ".join(word for word in arguments[:2])
            raise NoMySQL(f"apt-get {words} failed: {(result.stderr or result.stdout).strip()[-1000:]}")
        return result.stdout


def _debian_mirror() -> str:
    """Return the mirror of Debian that this machine's apt is set up with."""
    # Unlike `indextargets`, this also answers where the lists were never fetched.
    asked = subprocess.run(["apt-get", "update", "--print-uris"], capture_output=True, text=True, check=False)
    found = re.search(r"^'(\S+/debian)/dists/", asked.stdout, flags=re.MULTILINE)
    if found is None:
        raise NoMySQL("apt is set up here without a mirror of Debian. Set SYNC_TEST_MYSQL_URL to use a running server")
    return found[1]
