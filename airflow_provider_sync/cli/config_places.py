"""Find the configuration if no argument names it: by an environment variable, in this folder, in the user's folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from airflow_provider_sync.exceptions import ConfigurationError

VARIABLE = "AIRFLOW_SYNC_CONFIG"
"""Names a file, or a folder with a ``client.yaml``, a ``server.yaml`` or both."""

KINDS = ("server", "client")


def find_config(kinds: Sequence[str], environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the path of the configuration that a command uses without ``--config``; ``None`` if there is none.

    :param kinds: ``server``, ``client``, or both if either will do
    :raises ConfigurationError: when the variable names none, or there is one of each kind
    """
    if named := environment.get(VARIABLE):
        return _named(Path(named).expanduser(), kinds)
    # By folder, not by kind: any file in this folder takes precedence over the user's folder.
    for folder in (Path(), _users_folder(environment)):
        if found := _in_folder(folder, kinds):
            return found
    return None


def require_config(kind: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the path of the configuration of a kind; see :func:`find_config`.

    :raises ConfigurationError: when there is none
    """
    found = find_config([kind], environment)
    if found is None:
        raise ConfigurationError(
            f"There is no {kind}.yaml: not in this folder, and not in {_users_folder(environment)}."
            f" Give --config FILE, or set {VARIABLE} to its path."
        )
    return found


def is_there(path: Path) -> bool:
    """Whether this user can see a path; nobody sees what is in a folder that is closed to them, such as another user's home."""
    try:
        return path.exists()
    except OSError:
        return False


def _named(path: Path, kinds: Sequence[str]) -> str:
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigurationError(
            f"{VARIABLE} is {path}, which is not there. Set it to the path of a file, or give --config FILE."
        ) from None
    except OSError:
        is_folder = False  # reading the file says why it cannot be read
    if not is_folder:
        return str(path)
    if found := _in_folder(path, kinds):
        return found
    names = " or ".join(f"{kind}.yaml" for kind in kinds)
    raise ConfigurationError(f"{VARIABLE} is the folder {path}, which has no {names}. Set it to a file, or give --config FILE.")


def _in_folder(folder: Path, kinds: Sequence[str]) -> str | None:
    found = [str(path) for kind in kinds if is_there(path := folder / f"{kind}.yaml") and path.is_file()]
    if len(found) > 1:
        raise ConfigurationError(f"There are {' and '.join(found)}. Say which one is meant: --config {found[0]}.")
    return found[0] if found else None


def _users_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of this program below the one that XDG's base directory specification names."""
    base = environment.get("XDG_CONFIG_HOME") or ""
    # The specification says to ignore a relative path.
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "airflow-sync"
