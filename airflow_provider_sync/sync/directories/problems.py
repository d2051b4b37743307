"""Messages about files that could not be synced."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Mapping

from airflow_provider_sync.exceptions import FileChangedError, FileError
from airflow_provider_sync.printable import printable

ROUNDS = 3
"""Maximum number of requests for files that change at the source during their download."""

MAX_NAMED = 5
"""Maximum number of files that a message names."""

MAX_KEPT = 1_000
"""Maximum number of files that are kept by name, with their reasons; others are only counted."""


def is_below(path: str, unreadable: Container[str]) -> bool:
    """Tell whether a path is below an unreadable directory."""
    # One lookup for each parent directory, since both the paths and the unreadable directories may be many.
    return any(path[: slash.end()] in unreadable for slash in re.finditer("/", path))


def some_of(paths: Collection[str], *, more: int = 0) -> str:
    """Name some of the files, and the number of all.

    :param more: number of further files, whose names are not known
    """
    named = list(paths)[:MAX_NAMED]
    names = ", ".join(printable(repr(path)) for path in named)
    unnamed = len(paths) - len(named) + more
    return f"{names} and {unnamed} more" if unnamed else names


def not_synced(problems: Mapping[str, str], directory: str, *, more: int = 0, wrote: bool = True, deleted: int = 0) -> FileError:
    """Return the error for files that could not be synced.

    :param problems: paths with reasons
    :param more: number of further files, whose names are not known
    :param wrote: whether all other files were synced; otherwise nothing was changed
    :param deleted: number of files that were deleted before a deletion failed
    """
    deletes = "nothing was deleted" if not deleted else f"{deleted} {'file was' if deleted == 1 else 'files were'} deleted"
    outcome = f"could not be synced; all others were, and {deletes}" if wrote else "cannot be synced; nothing was changed"
    return FileError(
        f"{some_of(problems, more=more)} of directory {directory!r} {outcome}. {reasons(problems)} To go on without such files,"
        " set skip_unreadable."
    )


def all_unstable(path: str, directory: str) -> FileChangedError:
    """Return the error for a directory of which no file could be synced because all of them kept changing."""
    return FileChangedError(
        f"{path!r} of {directory!r} changed each of the {ROUNDS} times that it was downloaded."
        " Run it again when the source is quiet."
    )


def other_content(path: str) -> FileError:
    """Return the error for a file whose content never had the digest that the source went on announcing (version 1)."""
    return FileError(
        f"{path!r} came {ROUNDS} times with other content than the server's digest is of, and that digest stayed the same."
        " Do both sides use the same hasher? If so, the server's digests are out of date, or something on the way changes files."
    )


def unstable(paths: Collection[str], *, more: int = 0) -> str:
    """Warn about files that kept changing."""
    return (
        f"{some_of(paths, more=more)} changed at the source each of the {ROUNDS} times that the sync asked for it; the next run"
        " brings what is there then."
    )


def gone(paths: Collection[str], *, more: int = 0) -> str:
    """Warn about files that the source removed during the sync."""
    return f"{some_of(sorted(paths), more=more)} went from the source during the sync; the next run deletes what is left."


def in_use(paths: Collection[str], *, more: int = 0) -> str:
    """Warn about directories that the source removed and that the target's system refuses to remove."""
    is_, was, it = ("is", "was", "it") if len(paths) + more == 1 else ("are", "were", "them")
    return (
        f"{some_of(paths, more=more)} {is_} gone at the source, and {was} emptied and left: the system uses {it}, as it does a"
        f" mount point. Unmount {it}, or exclude {it}."
    )


def without_permissions(location: str) -> str:
    """Warn about a target that does not keep permissions."""
    return f"{location} is on a file system, or in a store, that keeps no permissions, so none are synced."


def unkept(paths: Collection[str], *, more: int = 0) -> str:
    """Warn about files that did not get the source's permissions."""
    return f"{some_of(paths, more=more)} did not get the permissions of the source, which the target's file system does not keep."


def clashing(first: str, second: str) -> str:
    """Warn about two names that some file systems consider equal."""
    return f"{first!r} and {second!r} differ only in case or in how they are composed; some file systems hold only one of them."


def nothing_selected() -> str:
    """Warn that the patterns select no file of the source."""
    return (
        "The patterns of include and exclude select none of the source's files. A pattern is for the whole path: '*.txt' selects"
        " files in the root, '**/*.txt' those at any depth."
    )


def links_left_out(number: int) -> str:
    """Warn about symbolic links that the source left out."""
    links = "symbolic link of the source was" if number == 1 else "symbolic links of the source were"
    return f"{number} {links} left out; to sync them, set links to keep or follow."


def skipped(problems: Mapping[str, str], *, more: int = 0) -> str:
    """Warn about files that were left out.

    :param more: number of further files, whose names are not known
    """
    were = "was" if len(problems) + more == 1 else "were"
    return f"{some_of(problems, more=more)} could not be synced and {were} skipped. {reasons(problems)}"


def reasons(problems: Mapping[str, str]) -> str:
    """List the distinct reasons."""
    return " ".join(list(dict.fromkeys(problems.values()))[:MAX_NAMED])
