"""Read the arguments of operators and sensors once their templates are rendered.

A template renders to text, whatever it was made of: ``{{ params.tables }}`` to ``['a', 'b']``, ``{{ x | tojson }}`` to
JSON, a missing value to nothing or to ``None``. So arguments are checked when a task runs, not when a DAG is parsed. Options of
tables and directories are checked by the models of :mod:`airflow_provider_sync.config`; what is undefined, by :mod:`.templates`.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from pathlib import PurePosixPath
from typing import Any, TypeVar

from airflow_provider_sync.airflow_support.templates import check_present
from airflow_provider_sync.config import (
    ClientConfig,
    TargetDirectory,
    TargetTable,
    directory_from_options,
    table_from_options,
    undone_directory,
)
from airflow_provider_sync.config.mistakes import WrongOptions
from airflow_provider_sync.config.options import MAX_DAYS, MAX_SECONDS, plain_value
from airflow_provider_sync.config.table_patterns import is_pattern
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.printable import printable
from airflow_provider_sync.time_zones import checked_time_zone

T = TypeVar("T")

_DURATION = re.compile(r"(?P<number>\d{1,12}(?:\.\d{1,6})?) ?(?P<unit>[smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}

_OF_PATTERNS: Sequence[str] = ("exclude", "drop_missing", "max_drops")
"""Options that only entries with a pattern have."""

_NAMES: Sequence[str] = ("table", "prefix")
"""Options that are a name."""

MAX_TASKS = 1_024
"""Tasks that Airflow maps by default (``[core] max_map_length``)."""


def read_tables(argument: str, tables: Any, defaults: Mapping[str, Any]) -> list[TargetTable]:
    """Read a name, a list of names, or a mapping of names to options.

    :param argument: what the operator calls it, for messages
    :param defaults: options for every entry that does not set them; those that are ``None`` are not set
    :raises ConfigurationError: naming the argument, for an empty rendering or anything else that cannot be meant
    """
    entries = _entries(argument, tables)
    options = _options(defaults)
    if "table" in options and len(entries) > 1:
        raise ConfigurationError(
            f"'table' names one target for the {len(entries)} entries of {argument!r}. Give each entry its own."
        )
    of_patterns = {option: options.pop(option) for option in _OF_PATTERNS if option in options}
    if of_patterns and not any(map(is_pattern, entries)):
        raise ConfigurationError(
            f"{next(iter(of_patterns))!r} is for patterns of tables, and {argument!r} has none, such as '*'."
        )
    return [
        table_from_options(name, {**options, **(of_patterns if is_pattern(name) else {}), **own}) for name, own in entries.items()
    ]


def connection_of(table: TargetTable, target_conn_id: Any) -> str:
    """Return the connection of a table's database: its own, or that of the operator.

    :raises ConfigurationError: when there is none
    """
    if table.connection:
        return table.connection
    if target_conn_id is None:
        raise ConfigurationError(f"Table {table.name!r} has no connection. Give target_conn_id, or a connection to this entry.")
    return read_argument("target_conn_id", target_conn_id, str)


def read_directories(argument: str, directories: Any, path: Any, defaults: Mapping[str, Any]) -> list[TargetDirectory]:
    """Read a name, a list of names, or a mapping of names to options, and decide where each directory is kept.

    A single name, not in a list, is kept in ``path`` itself; entries of a list or mapping below it, in a folder of their
    own name, unless they have a ``path``.

    :param path: text, a URL, or anything whose text is one of these, such as an ``ObjectStoragePath``
    :raises ConfigurationError: naming the argument
    """
    entries = _entries(argument, directories)
    single = isinstance(_name(decode_argument(argument, directories)), str)
    options = _options(defaults)
    if path is not None:
        options["path"] = decode_argument("path", str(path))
    found = []
    for name, own in entries.items():
        if "path" not in own and "path" not in options:
            raise ConfigurationError(f"Directory {name!r} has no path. Give 'path' to the operator, or to this entry.")
        below = {} if single or "path" in own else {"path": _below(options["path"], name)}
        found.append(directory_from_options(name, {**options, **own, **below}))
    if message := undone_directory(found):
        raise ConfigurationError(f"{argument!r}: {message}")
    return found


def read_names(argument: str, value: Any) -> list[str]:
    """Read a name, or a list of names.

    :raises ConfigurationError: naming the argument, for an empty rendering or anything else
    """
    found = _name(decode_argument(argument, value))
    names = [found] if isinstance(found, str) else list(map(_name, found)) if isinstance(found, (list, tuple)) else None
    if names is None or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{argument!r} is {value!r}. Give a name, or a list of names.")
    return names


def names_in(value: Any) -> list[str]:
    """Return the names in an argument for tables or directories; none if the argument is invalid."""
    try:
        found = _name(decode_argument("", value))
    except ConfigurationError:
        return []
    names = [found] if isinstance(found, str) else found
    return [str(name) for name in names] if isinstance(names, (list, tuple, dict)) else []


def check_listed(names: Iterable[str]) -> None:
    """Refuse names from a server that an operator's argument would read as anything but the same plain name.

    Otherwise a server could inject a pattern, another table, or options into a task that is mapped over the names.

    :raises ConfigurationError: for the first of them
    """
    for name in names:
        if is_pattern(name) or not _means_itself(name):
            raise ConfigurationError(
                f"The server offers a table named {printable(name, 100)!r}, which operators would not take as this name."
                " Exclude it, or have it offered under another name."
            )


def read_argument(argument: str, value: Any, kind: type[T]) -> T:
    """Read an argument of a plain type, also from text.

    :raises ConfigurationError: naming the argument
    """
    try:
        return plain_value(decode_argument(argument, value), kind)
    except WrongOptions as error:
        wanted = " ".join(mistake.message for mistake in error.mistakes)
        if issubclass(kind, Enum):
            wanted = f"Give {' or '.join(repr(str(member.value)) for member in kind)}."
        raise ConfigurationError(f"{argument!r} is {value!r}. {wanted}") from error


def read_seconds(argument: str, value: Any) -> float:
    """Read a number of seconds above zero.

    :raises ConfigurationError: naming the argument
    """
    seconds = read_argument(argument, value, float)
    if not 0 < seconds <= MAX_SECONDS:
        raise ConfigurationError(f"{argument!r} is {seconds!r}. Give a number of seconds above 0, at most {MAX_SECONDS}.")
    return seconds


def read_duration(argument: str, value: Any) -> timedelta:
    """Read a duration above zero, at most a century.

    It is a ``timedelta``, a number of seconds, or text such as ``90``, ``30m``, ``2h`` or ``1d``.

    :raises ConfigurationError: naming the argument
    """
    given = decode_argument(argument, value)
    if isinstance(given, str) and (parts := _DURATION.fullmatch(given)):
        given = float(parts["number"]) * _UNITS[parts["unit"]]
    try:
        duration: timedelta = plain_value(given, timedelta)
    except (WrongOptions, OverflowError):
        duration = timedelta(0)
    if not timedelta(0) < duration <= timedelta(days=MAX_DAYS) or isinstance(given, bool):
        raise ConfigurationError(
            f"{argument!r} is {value!r}. Give a timedelta, seconds, or text such as '30m', '2h' or '1d', at most {MAX_DAYS} days."
        )
    return duration


def with_time_zone(config: ClientConfig, time_zone: Any) -> ClientConfig:
    """Return the configuration with the time zone that an argument gives, if it does.

    :raises ConfigurationError: for what is no time zone
    """
    if time_zone is None:
        return config
    return config.model_copy(update={"time_zone": checked_time_zone(read_argument("time_zone", time_zone, str))})


def read_task_count(argument: str, value: Any) -> int:
    """Read the maximum number of tasks.

    :raises ConfigurationError: if it is below 1, or above Airflow's default limit
    """
    number = read_argument(argument, value, int)
    if not 1 <= number <= MAX_TASKS:
        raise ConfigurationError(f"{argument!r} is {number}. Give a number from 1 to {MAX_TASKS}.")
    return number


def read_step_results(argument: str, value: Any) -> list[Mapping[str, Any]]:
    """Read the result of an upstream task: one value, a list of them, or the results of mapped tasks.

    :raises ConfigurationError: for anything else
    """
    if value in (None, "None") or (isinstance(value, Sequence) and not len(value)):
        raise ConfigurationError(
            f"{argument!r} is empty: the step before has returned nothing, or its result is gone, as after `airflow db clean`."
            " Run the steps again from the first, each with the trigger rule 'all_success'."
        )
    value = decode_argument(argument, value)
    if isinstance(value, Mapping):
        return [value]
    if not isinstance(value, (list, tuple)):
        raise ConfigurationError(f"{argument!r} is {value!r}. Give it the output of the step before.")
    return [entry for item in value for entry in read_step_results(argument, item)]


def decode_argument(argument: str, value: Any) -> Any:
    """Decode a rendered value: text that is a list or mapping, as JSON or as a Python literal, becomes that value.

    :raises ConfigurationError: if it is undefined, empty, or text that begins like a list but is none
    """
    check_present(argument, value)
    if not isinstance(value, str):
        if isinstance(value, Sequence) and not isinstance(value, (list, tuple)):
            # The results of mapped tasks. A slice, since Airflow logs an error when the end of its lazy sequences is iterated to.
            value = list(value[:])
        if isinstance(value, (list, tuple, dict)) and not value:
            raise ConfigurationError(f"{argument!r} is empty.")
        return value
    text = value.strip()
    if text[0] not in "[{":
        return text
    try:
        return decode_argument(argument, _literal(text))
    except (ValueError, SyntaxError, TypeError) as error:
        raise ConfigurationError(
            f"{argument!r} begins with {text[0]!r}, and is no list and no mapping. Use the filter tojson in its template, or"
            " write a single text that begins so, such as the pattern '[0-9]*', in a list."
        ) from error


def _means_itself(name: str) -> bool:
    try:
        return bool(decode_argument("tables", name) == name)
    except ConfigurationError:
        return False


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return ast.literal_eval(text)


def _entries(argument: str, value: Any) -> dict[str, dict[str, Any]]:
    """Return the options by name, decode_argument, each in a mapping of its own."""
    value = _name(decode_argument(argument, value))
    if isinstance(value, str):
        return {value: {}}
    if isinstance(value, Mapping):
        for name, own in value.items():
            if own is not None and not isinstance(own, Mapping):
                raise ConfigurationError(f"{argument!r}: the options of {name!r} are {own!r}. Give a mapping of options.")
        return {str(name): _options(own or {}, f"{argument}.{name}.") for name, own in value.items()}
    if isinstance(value, (list, tuple)):
        names = [_name(decode_argument(argument, name)) for name in value]
        if all(isinstance(name, str) for name in names):
            return {name: {} for name in names}
    raise ConfigurationError(f"{argument!r} is {value!r}. Give a name, a list of names, or a mapping of names to options.")


def _name(value: Any) -> Any:
    """Return a name as text: DAGs that render templates as native objects make a number of 2026, and of {{ ds_nodash }}."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _options(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Decode the options that are set; an empty list or mapping is a value here."""
    found = {str(name): _option(f"{prefix}{name}", value) for name, value in options.items() if value is not None}
    return {name: _name(value) if name in _NAMES else value for name, value in found.items()}


def _option(argument: str, value: Any) -> Any:
    """Decode an option; no entry of a list or mapping may be empty."""
    value = value if isinstance(value, (list, tuple, dict)) else decode_argument(argument, value)
    if isinstance(value, (list, tuple, dict)):
        for entry in value.values() if isinstance(value, dict) else value:
            check_present(argument, entry)
    return value


def _below(base: str, name: str) -> str:
    """Return the path of the folder called ``name`` in ``base``; a name that would lead elsewhere is refused."""
    folder = PurePosixPath(name)
    if not folder.parts or folder.is_absolute() or ".." in folder.parts:
        raise ConfigurationError(f"Directory {name!r} cannot be kept in a folder of its own name. Give this entry a path.")
    return f"{base.rstrip('/')}/{name}"
