"""Which files take part in a sync: include and exclude patterns, compiled once.

The rules, for a path relative to the root, with ``/`` on every system:

- A pattern matches a whole path from the root on: ``*.png`` are the images in the root itself, ``**/*.png`` those at any
  depth, the root included.
- ``*`` stands for any characters but ``/``, ``?`` for one of them, ``[abc]``, ``[a-z]`` and ``[!a-z]`` for one of a set.
  ``[*]`` is a plain star. Case counts. A leading dot is nothing special: ``*`` matches hidden files.
- ``**`` as a whole component stands for any number of directories, none included. At the end it stands for everything
  below: ``tmp/**`` is all that ``tmp`` holds, but not a file named ``tmp``.
- A trailing ``/`` means a directory with all that it holds: ``tmp/`` is ``tmp/**``, and ``**/cache/`` every ``cache``.
- A file is selected when an include pattern matches it, or there are none, and no exclude pattern does.

Both manifests are filtered alike, so that an excluded file is neither sent nor deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.files.paths import is_temporary

_STAR = "[^/]*"


class PathFilter:
    """The files that ``include`` and ``exclude`` leave.

    Temporary files of a sync are never selected.

    :param include: patterns of files to take; empty for all
    :param exclude: patterns of files to leave alone; they win
    :param first: the first path to take, in the order of paths; ``None`` for no beginning
    :param last: the last one
    :raises ConfigurationError: for a pattern that can match nothing
    """

    def __init__(
        self, include: Iterable[str] = (), exclude: Iterable[str] = (), *, first: str | None = None, last: str | None = None
    ) -> None:
        self.first = first
        self.last = last
        self.include = tuple(include)
        self.exclude = tuple(exclude)
        self._included = _compile(self.include)
        self._excluded = _compile(self.exclude)
        self._closed = _compile(pattern for pattern in self.exclude if _components(pattern)[-1] == "**")

    def selects(self, path: str) -> bool:
        """Whether the file at ``path`` takes part in the sync."""
        if (self.first is not None and path < self.first) or (self.last is not None and path > self.last):
            return False
        if self._included is not None and self._included.fullmatch(path) is None:
            return False
        if self._excluded is not None and self._excluded.fullmatch(path) is not None:
            return False
        return not is_temporary(path)

    def descends(self, directory: str) -> bool:
        """Whether a scan needs to look into ``directory``: no, where all that it may hold is excluded."""
        # These patterns end in "everything below", so that any name will do to ask for all.
        closed = self._closed is not None and self._closed.fullmatch(f"{directory}/x") is not None
        return not closed and not is_temporary(directory)

    def __repr__(self) -> str:
        return f"PathFilter(include={self.include!r}, exclude={self.exclude!r})"


def _components(pattern: str) -> list[str]:
    components = pattern.split("/")
    if components[-1] == "":
        components[-1] = "**"
    return [name for name, after in zip(components, [*components[1:], ""], strict=True) if not name == after == "**"]


def _compile(patterns: Iterable[str]) -> re.Pattern[str] | None:
    expressions = [_expression(pattern) for pattern in patterns]
    return re.compile("|".join(expressions), re.DOTALL) if expressions else None


def _expression(pattern: str) -> str:
    """Write a pattern as a regular expression that needs time linear in the length of a name, however hostile the name.

    What stands between two stars always has the same length (in characters, or in components between two ``**``), so that the
    first place where it fits is as good as any later one. Atomic groups keep the expression from going back to look for others.
    """
    components = _components(pattern)
    if pattern in ("", "/") or any(component in ("", ".", "..") for component in components):
        raise ConfigurationError(
            f"The pattern {pattern!r} matches nothing: paths are relative, and have no empty, '.' or '..' components. "
            "Write it as in 'images/*.png' or '**/*.png'."
        )
    first, *others = _split(components, "**")
    expression = "/".join(map(_component, first))
    if not others:
        return expression
    *middle, last = ["/".join(map(_component, names)) for names in others]
    found = "".join(f"(?>(?:[^/]++/)*?{names}/)" for names in middle)
    return f"{expression}{'/' if first else ''}{found}(?:[^/]++/)*{last or '[^/]+'}"


def _component(text: str) -> str:
    """Write one component; see :func:`_expression`."""
    first, *others = map("".join, _split(_characters(text), _STAR))
    if not others:
        return first
    *middle, last = others
    return "".join([first, *(f"(?>[^/]*?{part})" for part in middle if part), _STAR, last])


def _split(items: Iterable[str], separator: str) -> list[list[str]]:
    """Cut a list at each separator."""
    parts: list[list[str]] = [[]]
    for item in items:
        if item == separator:
            parts.append([])
        else:
            parts[-1].append(item)
    return parts


def _characters(text: str) -> Iterator[str]:
    """Write each character of a component, or what stands for one; a star is :data:`_STAR`."""
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character == "*":
            yield _STAR
        elif character == "?":
            yield "[^/]"
        elif character == "[" and (end := _end_of_set(text, position)) > 0:
            yield _set(text[position:end])
            position = end + 1
        else:
            yield re.escape(character)


def _end_of_set(text: str, start: int) -> int:
    """Return where the ``]`` is; the first character of a set may be one, and an open ``[`` is a plain character."""
    first = start + 1 if text[start : start + 1] in ("!", "^") else start
    return text.find("]", first + 1)


def _set(content: str) -> str:
    negated = content[0] in "!^"
    characters = content[1:] if negated else content
    members = []
    position = 0
    while position < len(characters):
        low = characters[position]
        if characters[position + 1 : position + 2] == "-" and position + 2 < len(characters):
            high = characters[position + 2]
            position += 3
            if low <= high:
                members.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            position += 1
            members.append(re.escape(low))
    if not members:
        return "[^/]" if negated else "(?!)"
    return f"(?!/)[{'^' if negated else ''}{''.join(members)}]"


EVERYTHING = PathFilter()
