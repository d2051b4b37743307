"""Check a configuration file as a whole: all of its mistakes, each with its line, without opening what it names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from airflow_provider_sync.config.json_schema import MODELS
from airflow_provider_sync.config.mistakes import Mistake, Place, WrongOptions, mistakes_in
from airflow_provider_sync.config.options import Options
from airflow_provider_sync.config.yaml_file import expand, load_yaml, read_text, repeated_keys, with_lines
from airflow_provider_sync.exceptions import ConfigurationError


@dataclass(frozen=True, slots=True)
class FileCheck:
    """The result of checking one file.

    :ivar kind: ``server`` or ``client``; ``""`` if the file is not valid YAML
    :ivar mistakes: the mistakes in the order of their lines
    """

    kind: str
    mistakes: tuple[Mistake, ...]


def check_file(path: str | Path, kind: str | None = None) -> FileCheck:
    """Find all mistakes of a file.

    :param kind: ``server`` or ``client``; ``None`` to derive it from the file's options
    :raises ConfigurationError: when it cannot be read at all, or might be of either kind
    """
    return check_text(read_text(path), path, kind)


def check_text(text: str, path: str | Path, kind: str | None = None) -> FileCheck:
    """Find all mistakes of the text of a file; see :func:`check_file`.

    :param path: where it comes from, for messages
    """
    try:
        written = load_yaml(text, path)
    except WrongOptions as error:
        return FileCheck(kind or "", error.mistakes)
    settings, variables = expand(written, path)
    kind = kind or recognise(settings, path)
    # What a variable that is not set should hold is not known yet.
    others = _mistakes(MODELS[kind], settings, unknown={mistake.place for mistake in variables})
    found = [*repeated_keys(text), *with_lines([*variables, *others], text)]
    return FileCheck(kind, tuple(sorted(found, key=lambda mistake: mistake.line or 0)))


def recognise(settings: Mapping[str, Any], path: str | Path) -> str:
    """Determine the kind of a file, ``server`` or ``client``, from options that only one of the two has.

    Without any such option it is a server's, since a client needs a ``url``.

    :raises ConfigurationError: for options of both
    """
    server, client = (set(model.model_fields) for model in MODELS.values())
    of_server, of_client = sorted(settings.keys() & (server - client)), sorted(settings.keys() & (client - server))
    if of_server and of_client:
        raise ConfigurationError(
            f"{path} has {of_server[0]!r} of server.yaml and {of_client[0]!r} of client.yaml. Say which it is:"
            " --as server, or --as client."
        )
    return "client" if of_client else "server"


def _mistakes(model: type[Options], settings: Mapping[str, Any], *, unknown: Collection[Place]) -> list[Mistake]:
    try:
        model.model_validate(dict(settings))
    except ValidationError as error:
        return mistakes_in(error, model, unknown=unknown)
    return []
