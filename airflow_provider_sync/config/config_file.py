"""Base of ``server.yaml`` and ``client.yaml``: reads the file, and detects that one was given for the other."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Self

from airflow_provider_sync.config.mistakes import WrongOptions
from airflow_provider_sync.config.options import Options
from airflow_provider_sync.config.yaml_file import read_yaml
from airflow_provider_sync.exceptions import ConfigurationError


class ConfigFile(Options, frozen=True):
    """All options of a file.

    :cvar file_name: what the file is usually called
    """

    file_name: ClassVar[str]

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a file, replacing ``${NAME}`` from the environment.

        :raises ConfigurationError: as :meth:`.Options.from_dict`, and for a file that cannot be read, or is of the other kind
        """
        settings = read_yaml(path)
        try:
            return cls.from_dict(settings)
        except WrongOptions as error:
            other = _kind_with(settings)
            if other is not None and other is not cls:
                raise ConfigurationError(
                    f"{path} has the options of a {other.file_name}. Give the path of a {cls.file_name} instead."
                ) from error
            raise


def _kind_with(names: Iterable[str]) -> type[ConfigFile] | None:
    """Return the only kind of file that has all these options; ``None`` if there is no such kind, or more than one."""
    kinds = [kind for kind in ConfigFile.__subclasses__() if set(names) <= kind.model_fields.keys()]
    return kinds[0] if len(kinds) == 1 else None
