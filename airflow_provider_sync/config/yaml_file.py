"""The files that hold configurations: YAML with variables of the environment. What they say is for the modules beside."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

from airflow_provider_sync.exceptions import ConfigurationError

MAX_VALUES = 100_000
"""Most values of a file: a few aliases of aliases stand for billions."""


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file, replacing ``${NAME}`` in its texts from the environment.

    :raises ConfigurationError: when it cannot be read, holds no mapping, or uses a variable that is not set
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"Cannot read {path}: {error.strerror}. Give the path of a configuration file.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}. Save it as UTF-8.") from error
    return parse_yaml(text, path)


def parse_yaml(text: str, path: str | Path) -> dict[str, Any]:
    """Read YAML; see :func:`read_yaml`.

    :param path: where it comes from, for messages
    """
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        # What it takes for a date or a number and is none, such as 2024-02-30, and what follows a tag that does not fit.
        raise ConfigurationError(
            f"{path} has a value that YAML takes for a date or a number: {error}. Write it in quotes."
        ) from error
    except RecursionError as error:
        raise ConfigurationError(f"{path} is nested too deeply.") from error
    if not isinstance(settings, dict):
        raise ConfigurationError(f"{path} must hold a mapping at its top level.")
    try:
        expanded: dict[str, Any] = _Expansion(path).of(settings)
    except RecursionError as error:
        raise ConfigurationError(f"{path} has an alias within what it stands for.") from error
    return expanded


class _Expansion:
    """Replaces variables in all that a file says, aliases written out."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._left = MAX_VALUES

    def of(self, value: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ConfigurationError(f"{self._path} has more than {MAX_VALUES} values, aliases written out.")
        if isinstance(value, str):
            return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", _environment, value)
        if isinstance(value, dict):
            return {key: self.of(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.of(item) for item in value]
        return value


def _environment(match: re.Match[str]) -> str:
    try:
        return os.environ[match[1]]
    except KeyError:
        raise ConfigurationError(
            f"The environment variable {match[1]} is not set, but the configuration uses it."
            " Export it, or add it to the environment of the service."
        ) from None
