"""Check the paths of files: relative, with ``/``, and never out of the root.

Every path from the network, a manifest or a store's listing passes :func:`check_name` before anything is opened.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import sha256

from airflow_provider_sync.exceptions import FileError

MAX_COMPONENT_BYTES = 255
MAX_PATH_BYTES = 4095
TEMPORARY_PREFIX = ".airflow-sync-"

# An empty, `.` or `..` component, of which an absolute path has one, or a NUL.
_NO_PATH = re.compile(r"(?:\A|/)\.{0,2}(?:/|\Z)|\0")
_TEMPORARY = re.compile(r"\.airflow-sync-[0-9a-f]{16}\.(?:part|resume)")
_RESUMABLE = ".resume"


def check_name(path: str) -> tuple[str, ...]:
    """Return the components of a relative path; refuse one that could lead out of the root.

    Backslashes, line ends and wildcards are ordinary characters, as in POSIX.

    :param path: relative, with ``/`` between components
    :raises FileError: when it is empty, absolute, has an empty, ``.`` or ``..`` component, a NUL, characters that are not
        Unicode text, a component above 255 or a total above 4095 bytes, or the name of a temporary file of a sync
    """
    components = tuple(path.split("/"))
    # Most names, in a fifth of the time.
    if len(path) <= MAX_COMPONENT_BYTES and path.isascii() and TEMPORARY_PREFIX not in path and not _NO_PATH.search(path):
        return components
    problem = _problem(path, components)
    if problem:
        raise FileError(f"The file name {_shown(path)} {problem}. Rename the file, or exclude it on both sides.")
    return components


def _problem(path: str, components: tuple[str, ...]) -> str | None:
    if not path:
        return "is empty"
    if path.startswith("/"):
        return "is absolute"
    if path.endswith("/"):
        return "ends in '/'"
    if any(component in ("", ".", "..") for component in components):
        return "has an empty, '.' or '..' component"
    if "\0" in path:
        return "contains a NUL character"
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    if len(encoded) > MAX_PATH_BYTES:
        return f"is {len(encoded)} bytes long, more than {MAX_PATH_BYTES}"
    if len(encoded) > MAX_COMPONENT_BYTES and any(len(component.encode()) > MAX_COMPONENT_BYTES for component in components):
        return f"has a component of more than {MAX_COMPONENT_BYTES} bytes"
    if is_temporary(path):
        return "is that of a temporary file of a sync"
    return None


def _shown(path: str) -> str:
    # A hostile name may be megabytes long; ascii() also keeps control characters and surrogates out of logs.
    shown = path[:300]
    with suppress(UnicodeEncodeError):  # a surrogate from the network, which stands for no byte of a name
        shown = readable_name(shown)
    return ascii(shown) if len(path) <= 300 else f"{shown!a}…"


def can_travel(path: str, on_unreadable: Callable[[str, FileError], None], *, ending: str = "") -> bool:
    """Return whether :func:`check_name` accepts a path; otherwise call ``on_unreadable`` with it and the reason.

    :param ending: is added to the path for that call
    """
    try:
        check_name(path)
    except FileError as error:
        on_unreadable(readable_name(path) + ending, error)
        return False
    return True


def link_stays_inside(path: str, target: str) -> bool:
    """Whether a symbolic link leads to something below the root, as far as its text tells.

    ``..`` counts only at the start of the target, where it leads up from the directory of the link. After a name it would lead up
    from wherever that name leads, which may be another link: two links, each of which stays inside, could lead out together.

    :param path: of the link, relative to the root
    :param target: where it leads, as it is stored
    """
    if not target or target.startswith("/") or "\0" in target:
        return False
    depth = path.count("/")
    below = False
    for component in target.split("/"):
        if component == "..":
            depth -= 1
            if below or depth < 0:
                return False
        elif component not in ("", "."):
            below = True
    return True


def leads_out(path: str) -> bool:
    """Whether a path could lead out of the root, so that it comes from an attacker or a broken program."""
    return not path or path.startswith("/") or "\0" in path or any(part in ("", ".", "..") for part in path.split("/"))


def readable_name(path: str) -> str:
    r"""Return a path as valid text, with bytes that are not UTF-8 escaped, as in ``caf\xe9.txt``."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def temporary_name() -> str:
    """Return a new name for a temporary file; scans never list such names."""
    return f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.part"


def resumable_name(path: str, key: str) -> str:
    """Return the temporary name of an unfinished file with which a later sync goes on.

    :param path: of the file
    :param key: names the version of its content
    """
    return f"{TEMPORARY_PREFIX}{sha256(f'{len(path)} {path} {key}'.encode()).hexdigest()[:16]}{_RESUMABLE}"


def is_resumable(name: str) -> bool:
    """Whether a temporary name comes from :func:`resumable_name`."""
    return name.endswith(_RESUMABLE)


def is_temporary(path: str) -> bool:
    """Whether ``path`` is, or lies below, a temporary name of a sync."""
    return TEMPORARY_PREFIX in path and any(_TEMPORARY.fullmatch(component) for component in path.split("/"))


def parents(path: str) -> Iterable[str]:
    """Yield the directories above ``path``, the nearest first, without the root."""
    end = path.rfind("/")
    while end > 0:
        path = path[:end]
        yield path
        end = path.rfind("/")
