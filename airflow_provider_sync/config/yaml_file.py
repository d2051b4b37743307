"""The files that hold configurations: YAML with variables of the environment. What they say is for the modules beside."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from airflow_provider_sync.config.mistakes import Mistake, Place, refusal
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.near_names import near_name

MAX_VALUES = 100_000
"""Maximum number of values in a file, since a few nested aliases can stand for billions."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MERGE = "tag:yaml.org,2002:merge"


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file, replacing ``${NAME}`` in its texts from the environment.

    :raises ConfigurationError: when it cannot be read, holds no mapping, or uses a variable that is not set
    """
    return parse_yaml(read_text(path), path)


def read_text(path: str | Path) -> str:
    """Read the text of a configuration file.

    :raises ConfigurationError: when it cannot be read, or is not UTF-8
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        remedy = _file_that_was_meant(Path(path)) or "Give the path of a configuration file."
        raise ConfigurationError(f"Cannot read {path}: {error.strerror}. {remedy}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}. Save it as UTF-8.") from error


def _file_that_was_meant(path: Path) -> str | None:
    """Ask for a file of a similar name in the same folder; ``None`` if there is none."""
    try:
        names = [found.name for found in path.parent.iterdir() if found.suffix in (".yaml", ".yml")]
    except OSError:
        return None
    near = near_name(path.name, names)
    return None if near is None or near == path.name else f"Did you mean {path.with_name(near)}?"


def parse_yaml(text: str, path: str | Path) -> dict[str, Any]:
    """Read YAML; see :func:`read_yaml`.

    :param path: where it comes from, for messages
    """
    settings, mistakes = expand(load_yaml(text, path), path)
    if mistakes:
        # A variable is missing in the environment: nothing is wrong with the file, of which a check could say more.
        raise ConfigurationError(str(refusal(mistakes)))
    return settings


def load_yaml(text: str, path: str | Path) -> dict[str, Any]:
    """Read YAML with its variables as they are written.

    :raises ConfigurationError: when it is not YAML, or holds no mapping; a ``WrongOptions`` has the line where that is known
    """
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError as error:
        # A name that begins with a star, unquoted, is an alias to YAML.
        is_alias = getattr(error, "context", None) == "while scanning an alias"
        hint = ". Write a pattern such as '*' in quotes." if is_alias else ""
        line = _line_of_error(error)
        where = f"line {line}: " if line else ""
        message = f"{path} is not valid YAML: {where}{_problem(error)}{hint}"
        raise refusal([Mistake((), message, line)]) from error
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        # What it takes for a date or a number and is none, such as 2024-02-30, and what follows a tag that does not fit.
        raise ConfigurationError(
            f"{path} has a value that YAML takes for a date or a number: {error}. Write it in quotes."
        ) from error
    except RecursionError as error:
        raise ConfigurationError(f"{path} is nested too deeply.") from error
    if not isinstance(settings, dict):
        raise ConfigurationError(f"{path} must hold a mapping at its top level.")
    return settings


def expand(settings: dict[str, Any], path: str | Path) -> tuple[dict[str, Any], list[Mistake]]:
    """Replace variables in all that a file says, with aliases written out.

    :return: the settings, in which a variable that is not set stays as it is written; and the places of these variables
    :raises ConfigurationError: for an alias within what it stands for, and for more than :data:`MAX_VALUES` values
    """
    expansion = _Expansion(path)
    try:
        expanded: dict[str, Any] = expansion.of(settings, ())
    except RecursionError as error:
        raise ConfigurationError(f"{path} has an alias within what it stands for.") from error
    return expanded, expansion.mistakes


def with_lines(mistakes: list[Mistake], text: str) -> list[Mistake]:
    """Add line numbers to mistakes: the line of the option, or of the mapping that lacks one.

    :param text: content of a file that can be parsed
    """
    lines = _Lines(yaml.compose(text, Loader=yaml.SafeLoader))
    return [mistake if mistake.line else replace(mistake, line=lines.of(mistake.place)) for mistake in mistakes]


def repeated_keys(text: str) -> list[Mistake]:
    """Find keys that a mapping has twice, of which YAML takes the last without a word.

    :param text: content of a file that can be parsed
    """
    mistakes: list[Mistake] = []
    todo: list[tuple[yaml.Node | None, Place]] = [(yaml.compose(text, Loader=yaml.SafeLoader), ())]
    seen: set[yaml.Node] = set()
    while todo:
        node, place = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, yaml.SequenceNode):
            todo += [(entry, (*place, index)) for index, entry in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            first: dict[str, int] = {}
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                    line = key.start_mark.line + 1
                    if key.value in first:
                        where = f"{key.value!r} is already on line {first[key.value]}."
                        mistakes.append(Mistake((*place, key.value), f"{where} Remove one: only the last is used.", line))
                    first.setdefault(key.value, line)
                    todo.append((value, (*place, key.value)))
    return mistakes


class _Expansion:
    """Replaces variables, and counts values, while it goes through all of a file.

    :ivar mistakes: variables that are not set
    """

    def __init__(self, path: str | Path) -> None:
        self.mistakes: list[Mistake] = []
        self._path = path
        self._left = MAX_VALUES

    def of(self, value: Any, place: Place) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ConfigurationError(f"{self._path} has more than {MAX_VALUES} values, aliases written out.")
        if isinstance(value, str):
            return _VARIABLE.sub(lambda match: self._variable(match, place), value)
        if isinstance(value, dict):
            return {key: self.of(item, (*place, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.of(item, (*place, index)) for index, item in enumerate(value)]
        return value

    def _variable(self, match: re.Match[str], place: Place) -> str:
        value = os.environ.get(match[1])
        if value is None:
            self.mistakes.append(
                Mistake(
                    place,
                    f"The environment variable {match[1]} is not set, but the configuration uses it."
                    " Export it, or add it to the environment of the service.",
                )
            )
            return match[0]
        return value


def _problem(error: yaml.YAMLError) -> str:
    """Return the parser's message without the location, in which a text in memory is ``<unicode string>``."""
    found = [getattr(error, name, None) for name in ("context", "problem")]
    return ": ".join(str(text) for text in found if text) or " ".join(str(error).split())


def _line_of_error(error: yaml.YAMLError) -> int | None:
    mark = getattr(error, "problem_mark", None)
    return None if mark is None else int(mark.line) + 1


class _Lines:
    """The lines of a node's children, looked up on demand: nested aliases can stand for billions of values."""

    def __init__(self, node: yaml.Node | None) -> None:
        self._node = node

    def of(self, place: Place) -> int | None:
        """Return the line of a place, from 1 on; if it is not there, that of the last step that is."""
        line, here = None, self
        for step in place:
            found = here._steps.get(step) or here._steps.get(str(step))
            if found is None:
                break
            line, here = found
        return line

    @cached_property
    def _steps(self) -> dict[str | int, tuple[int, _Lines]]:
        """The line of each key or entry, and the lines of what is inside its value."""
        node = self._node
        if isinstance(node, yaml.SequenceNode):
            return {index: (entry.start_mark.line + 1, _Lines(entry)) for index, entry in enumerate(node.value)}
        if not isinstance(node, yaml.MappingNode):
            return {}
        found: dict[str | int, tuple[int, _Lines]] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    found = {**_Lines(merged)._steps, **found}
        return found | {
            key.value: (key.start_mark.line + 1, _Lines(value)) for key, value in node.value if isinstance(key, yaml.ScalarNode)
        }
