"""Select the files of a sync by include and exclude patterns.

The rules, for a path relative to the root, with ``/`` on every system:

- A pattern matches a whole path, from the root: ``*.png`` matches images in the root only, ``**/*.png`` images at any depth,
  including the root.
- ``*`` matches any number of characters except ``/``, ``?`` one character, ``[abc]``, ``[a-z]`` and ``[!a-z]`` one of a set.
  ``[*]`` is a literal star. Case matters. ``*`` matches hidden files, too.
- ``**`` as a whole component matches any number of directories, or none. At the end it matches everything below: ``tmp/**`` is
  all that ``tmp`` contains, but not a file named ``tmp``.
- A trailing ``/`` means a directory with all its content: ``tmp/`` is ``tmp/**``, and ``**/cache/`` every ``cache``.
- A file is selected when an include pattern matches it, or there are none, and no exclude pattern matches it.

Both manifests are filtered with the same rules, so that an excluded file is neither sent nor deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.files.paths import is_temporary

_STAR = "[^/]*"


class PathFilter:
    """The rules that select the files of a sync.

    Temporary files of a sync are never selected.

    :param include: patterns of the selected files; empty for all
    :param exclude: patterns of files that are never selected; they have precedence
    :param first: the first selected path, in the order of paths; ``None`` for no limit
    :param last: the last one
    :raises ConfigurationError: for a pattern that cannot match anything
    :ivar folder: nothing outside of it is selected; empty for no such limit
    """

    def __init__(
        self, include: Iterable[str] = (), exclude: Iterable[str] = (), *, first: str | None = None, last: str | None = None
    ) -> None:
        self.folder = ""
        self.first = first
        self.last = last
        self.include = tuple(include)
        self.exclude = tuple(exclude)
        self._included = _compile(self.include)
        self._excluded = _compile(self.exclude)
        self._closed = _compile(pattern for pattern in self.exclude if _components(pattern)[-1] == "**")

    @property
    def selects_all(self) -> bool:
        """Whether everything but temporary files takes part in the sync."""
        return self._included is None and self._excluded is None and self.first is None and self.last is None

    def excludes(self, path: str) -> bool:
        """Whether an exclude pattern matches ``path``."""
        return self._excluded is not None and self._excluded.fullmatch(path) is not None

    def selects(self, path: str) -> bool:
        """Whether the file at ``path`` takes part in the sync."""
        if (self.first is not None and path < self.first) or (self.last is not None and path > self.last):
            return False
        if self._included is not None and self._included.fullmatch(path) is None:
            return False
        if self._excluded is not None and self._excluded.fullmatch(path) is not None:
            return False
        return not is_temporary(path)

    def closes(self, directory: str) -> bool:
        """Whether an exclude pattern matches everything in ``directory``."""
        # These patterns match everything below a directory, so that any name stands for all.
        return self._closed is not None and self._closed.fullmatch(f"{directory}/x") is not None

    def descends(self, directory: str) -> bool:
        """Whether a scan must descend into ``directory``; not if everything in it is excluded."""
        return not self.closes(directory) and not is_temporary(directory)

    def below(self, folder: str) -> PathFilter:
        """Return the rules for one folder: with them a walk finds the folder itself, and what these rules select in it.

        :param folder: a path, without ``/`` at its end
        """
        return _FolderFilter(self, folder)

    def __repr__(self) -> str:
        return f"PathFilter(include={self.include!r}, exclude={self.exclude!r})"


class _FolderFilter(PathFilter):
    """See :meth:`PathFilter.below`."""

    def __init__(self, rules: PathFilter, folder: str) -> None:
        super().__init__(rules.include, rules.exclude, first=rules.first, last=rules.last)
        self.folder = folder

    @property
    def selects_all(self) -> bool:
        return False

    def selects(self, path: str) -> bool:
        return path == self.folder or (path.startswith(f"{self.folder}/") and super().selects(path))

    def descends(self, directory: str) -> bool:
        leads_there = f"{self.folder}/".startswith(f"{directory}/") or directory.startswith(f"{self.folder}/")
        return leads_there and super().descends(directory)


def _components(pattern: str) -> list[str]:
    components = pattern.split("/")
    if components[-1] == "":
        components[-1] = "**"
    return [name for name, after in zip(components, [*components[1:], ""], strict=True) if not name == after == "**"]


def _compile(patterns: Iterable[str]) -> re.Pattern[str] | None:
    expressions = [_expression(pattern) for pattern in patterns]
    return re.compile("|".join(expressions), re.DOTALL) if expressions else None


def _expression(pattern: str) -> str:
    """Translate a pattern to a regular expression that takes linear time for every name, hostile ones included.

    The text between two stars has a fixed length (in characters, or in components between two ``**``), so that the first place
    where it matches is as good as any later one. Atomic groups prevent backtracking to other places.
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
    """Translate one component; see :func:`_expression`."""
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
    """Yield the expression for each character, set or wildcard of a component; a star is :data:`_STAR`."""
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
