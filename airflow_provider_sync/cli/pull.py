"""``pull``: copy one directory of a server, without a configuration file."""

from __future__ import annotations

import os
import stat
from argparse import Namespace
from pathlib import Path

from airflow_provider_sync.cli.config_trials import not_offered
from airflow_provider_sync.cli.run import run_and_show
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.config.mistakes import Mistake, WrongOptions
from airflow_provider_sync.config.options import flag_of
from airflow_provider_sync.exceptions import ConfigurationError, ServerError, SyncFailed
from airflow_provider_sync.sync.run import RunPlan

_DIRECTORY_OPTIONS = (
    "include",
    "exclude",
    "prefix",
    "delete",
    "max_deletes",
    "allow_empty_source",
    "checksum",
    "links",
    "permissions",
)

_CONNECTION_OPTIONS = ("verify", "certificate", "key")

_NOT_OFFERED = 422
"""Status of an answer about a name that the server does not offer, among others."""

_EVERYBODY = stat.S_IROTH | stat.S_IWOTH


def main(options: Namespace) -> int:
    """Copy the directory that the arguments name; see :mod:`.main` for the exit code."""
    given = {name: value for name in _DIRECTORY_OPTIONS if (value := getattr(options, name)) is not None}
    settings = {"url": options.url, "token": _token(options.token_file)}
    settings |= {name: value for name in _CONNECTION_OPTIONS if (value := getattr(options, name)) is not None}
    try:
        config = ClientConfig.from_dict({**settings, "directories": {options.name: {"path": options.folder, **given}}})
    except WrongOptions as error:
        raise ConfigurationError(" ".join(_naming_its_flag(mistake) for mistake in error.mistakes)) from error
    (directory,) = config.directories.values()
    plan = RunPlan.of((), [directory]).set_by_flags(**{name: getattr(directory, name) for name in _DIRECTORY_OPTIONS})
    try:
        return run_and_show(config, plan, "airflow-sync pull", options)
    except SyncFailed as failure:
        if any(isinstance(error, ServerError) and error.status == _NOT_OFFERED for error in failure.failures):
            _check_name(config, options.name, failure)
        raise


def _naming_its_flag(mistake: Mistake) -> str:
    """Return the message of a mistake with the flag in place of the option that it sets."""
    if mistake.place[:1] != ("directories",) or len(mistake.place) < 3:
        return mistake.message
    _, name, option, *_ = mistake.place
    return mistake.message.removeprefix(f"{name!r}: ").replace(str(option), flag_of(str(option)), 1)


def _check_name(config: ClientConfig, name: str, failure: SyncFailed) -> None:
    """Ask which directories the server offers.

    :raises ConfigurationError: if it offers others, and not this one
    """
    with SyncClient.from_config(config) as client:
        offered = client.capabilities()
    if offered is not None and name not in offered.directories:
        raise ConfigurationError(f"Directory {name!r}: {not_offered(name, offered.directories)}") from failure


def _token(path: str | None) -> str | None:
    """Return the token from a file, or from the environment: everybody on a machine can see the arguments of a command.

    :raises ConfigurationError: when the file cannot be read, can be read by everybody, or holds nothing
    """
    if path is None:
        return os.environ.get("SYNC_TOKEN") or None
    try:
        with Path(path).open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & _EVERYBODY:
                raise ConfigurationError(f"Every user of this machine can read or change {path}. Protect it: chmod 600 {path}")
            token = file.read().strip()
    except OSError as error:
        raise ConfigurationError(f"Cannot read the token from {path}: {error.strerror}. Give the path of a file.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text. Give a file that holds nothing but the token.") from error
    if not token:
        raise ConfigurationError(f"{path} is empty. Write the token into it.")
    return token
