"""What was fetched, kept by name and version: as long as a release is there, nothing is fetched again.

`SYNC_TEST_CACHE` names another cache folder than the project's `.cache`.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

_FETCH_SECONDS = 600
_FOR_OTHERS = Path("/var/tmp/airflow-provider-sync")


class CannotFetchError(Exception):
    """A release cannot be had here; the message says why."""


def cached(name: str, pattern: str, fetch: Callable[[Path], str]) -> Path:
    """Return the newest folder of the cache that fits, or make it; safe in several processes at once.

    :param name: of the folder in the cache
    :param pattern: what the names of versions in it look like, as `glob` understands it
    :param fetch: fills an empty folder, and returns the version that it holds
    :raises CannotFetchError: when there is none and none can be fetched
    """
    cache = _folder() / name
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        there = sorted((path for path in cache.glob(pattern) if path.is_dir()), key=lambda path: path.stat().st_mtime)
        if there:
            return there[-1]
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=cache) as work:
            made = Path(work) / "made"
            # Servers run as another user, who looks into it.
            made.mkdir(mode=0o755)
            return made.rename(cache / fetch(made).replace(":", "_"))


def run(command: list[str], *, folder: Path, environment: dict[str, str] | None = None) -> str:
    """Run a command that fetches or builds, and return its output; raises CannotFetchError with the end of what it said."""
    words = " ".join(command[:2])
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_FETCH_SECONDS,
            check=False,
        )
    except OSError as exc:
        raise CannotFetchError(f"{command[0]} is not installed") from exc
    except subprocess.TimeoutExpired as exc:
        raise CannotFetchError(f"{words} did not end within {_FETCH_SECONDS} seconds") from exc
    if result.returncode != 0:
        raise CannotFetchError(f"{words} failed: {(result.stderr or result.stdout).strip()[-1000:]}")
    return result.stdout


def _folder() -> Path:
    named = os.environ.get("SYNC_TEST_CACHE")
    if named:
        return Path(named).resolve()
    project = Path(__file__).resolve().parents[2]
    if os.geteuid() == 0 and not all(folder.stat().st_mode & 0o001 for folder in (project, *project.parents)):
        # Servers run as another user, who cannot get into a project in root's home.
        return _FOR_OTHERS
    return project / ".cache"
