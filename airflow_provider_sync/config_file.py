"""The files that hold configurations: YAML with variables of the environment. What they say is for `config`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

from airflow_provider_sync.exceptions import ConfigurationError


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file, replacing ``${NAME}`` in its texts from the environment.

    :raises ConfigurationError: when it cannot be read, holds no mapping, or uses a variable that is not set
    """
    try:
        settings = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"Cannot read {path}: {error.strerror}. Give the path of a configuration file.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}. Save it as UTF-8.") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(settings, dict):
        raise ConfigurationError(f"{path} must hold a mapping at its top level.")
    expanded: dict[str, Any] = _expand(settings)
    return expanded


def _expand(value: Any) -> Any:
    if isinstance(value, str):
        return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", _environment, value)
    if isinstance(value, dict):
        return {key: _expand(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item) for item in value]
    return value


def _environment(match: re.Match[str]) -> str:
    try:
        return os.environ[match[1]]
    except KeyError:
        raise ConfigurationError(f"The environment variable {match[1]} is not set, but the configuration uses it.") from None
