"""Turn an error of the operating system into one that names the file and says what to do."""

from __future__ import annotations

import errno
import os

from airflow_provider_sync.exceptions import FileError, MissingFileError

_ADVICE = {
    errno.EACCES: "Give the user of this process access to it",
    errno.EPERM: "Give the user of this process access to it",
    errno.ENOSPC: "Free some space, or choose another disk",
    errno.EDQUOT: "Free some space, or raise the quota",
    errno.EFBIG: "Raise the limit for the size of files (ulimit -f), or exclude the file",
    errno.EROFS: "Mount the disk for writing, or choose another path",
    errno.ENAMETOOLONG: "Shorten the name at its source, or exclude the file",
    errno.EILSEQ: "The file system does not take this name; rename the file at its source, or exclude it",
    errno.EMFILE: "Raise the limit for open files (ulimit -n)",
    errno.ENFILE: "Close other programs, or raise the system's limit for open files",
    errno.EIO: "Check the disk",
    errno.ELOOP: "It is a symbolic link, and links are not followed; put the file itself in its place",
    errno.ENXIO: "It is not a regular file; remove or exclude it",
    errno.ENOTDIR: "A part of its path is not a directory, or is a symbolic link; links are not followed",
    errno.EISDIR: "It is a directory; name a file",
    errno.ENOTEMPTY: "Remove what is in it, or exclude the path",
    errno.ENOENT: "Compare source and target again",
}
_ADVICE_FOR_ROOTS = {
    errno.ENOENT: "Make it, or correct its path in the configuration",
    errno.EEXIST: "It is a file; name a directory",
}


_ABOUT_ONE_FILE = frozenset(
    {
        errno.EACCES,
        errno.EBUSY,
        errno.EEXIST,
        errno.EFBIG,
        errno.EILSEQ,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.EMSGSIZE,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENOTEMPTY,
        errno.ENXIO,
        errno.EPERM,
        errno.ETXTBSY,
    }
)


def is_about_one_file(cause: BaseException | None) -> bool:
    """Tell whether an error concerns one file only, unlike a full or broken disk.

    :param cause: the original exception, if any
    """
    # Object stores raise these without a number.
    named = (PermissionError, FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
    return not isinstance(cause, OSError) or isinstance(cause, named) or cause.errno in _ABOUT_ONE_FILE


def is_in_use(cause: BaseException | None) -> bool:
    """Tell whether a directory could not be removed because the system uses it, for example as a mount point."""
    return isinstance(cause, OSError) and cause.errno == errno.EBUSY


def file_error(doing: str, path: str, location: str, error: OSError) -> FileError:
    """Return the error to raise for ``error``; the caller raises it ``from`` that.

    :param doing: a verb, as in "Cannot read"
    :param path: the file, relative to the root; empty for the root itself
    :param location: the root, for the message
    """
    kind = MissingFileError if error.errno == errno.ENOENT and path else FileError
    what = f"{path!r} in {location}" if path else location
    why = os.strerror(error.errno) if error.errno else str(error)
    advised = _ADVICE if path else {**_ADVICE, **_ADVICE_FOR_ROOTS}
    advice = advised.get(error.errno or 0, "Fix that, and try again")
    return kind(f"Cannot {doing} {what}: {why}. {advice}.")
