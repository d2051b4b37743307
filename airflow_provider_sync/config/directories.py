"""The options of one directory, at the server and at the client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os.path import normpath
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic.json_schema import SkipJsonSchema

from airflow_provider_sync.config.limits import DEFAULT_MAX_DELETES, MaxDeletes
from airflow_provider_sync.config.options import (
    MAX_DAYS,
    NUMBER,
    WHOLE_NUMBER,
    Name,
    Options,
    PositiveWhole,
    Seconds,
    entry_from_options,
    wrong_value,
)


def _folder(prefix: str) -> str:
    folders = prefix.strip("/").split("/")
    if not {"", ".", ".."}.isdisjoint(folders):
        raise wrong_value(f"prefix is {prefix!r}. Give a folder of the source, such as '2026/01'.")
    return "/".join(folders)


Prefix = Annotated[Name, AfterValidator(_folder)]


FilesPerRequest = Annotated[int, Field(gt=0, le=998), WHOLE_NUMBER]
"""As many files as PHP takes from one form (``max_input_vars``), for existing servers."""


class DirectoryConfig(Options, frozen=True):
    """One directory under the name that goes over the wire.

    :ivar name: what stands before the options in a file
    """

    name: SkipJsonSchema[Name]
    path: str = Field(description="A local path, or a URL of object storage such as `s3://connection@bucket/prefix`.")
    hasher: str | None = Field(
        default=None, description="`md5`, `none`, or the import path of a class. Otherwise the default of the server, or md5."
    )
    include: tuple[Name, ...] = Field(default=(), description="Glob patterns of the files to sync. Empty for all.")
    exclude: tuple[Name, ...] = Field(
        default=(), description="Glob patterns of the files to leave alone, on both sides. They win over `include`."
    )


class SourceDirectory(DirectoryConfig, frozen=True):
    """A directory that a server offers."""


class TargetDirectory(DirectoryConfig, frozen=True):
    """A directory that a client keeps in step."""

    prefix: Prefix | None = Field(
        default=None,
        description="A folder of the source: only its files are synced, and `path` stands for that folder.",
    )
    max_deletes: MaxDeletes = Field(
        default=DEFAULT_MAX_DELETES,
        description="How much one sync may delete: a share such as `50%` (100 files may always go), or a number of files.",
    )
    allow_empty_source: bool = Field(default=False, description="Let an empty source empty the target.")
    checksum: Literal["cached", "always", "never"] = Field(
        default="cached",
        description=(
            "How files are compared: `cached` by digests, from the cache where it is valid; `always` by digests, always read;"
            " `never` by size and time of modification."
        ),
    )
    delete: bool = Field(default=True, description="Delete what the source lacks.")
    backup: str | None = Field(
        default=None, description="Folder or prefix where replaced and deleted files go, by date. None removes them."
    )
    backup_days: Annotated[float, Field(gt=0, le=MAX_DAYS, allow_inf_nan=False), NUMBER] | None = Field(
        default=None, description="Remove backups after this many days. None keeps them."
    )
    links: Literal["skip", "keep", "follow"] = Field(
        default="skip",
        description="Symbolic links of the source: leave them out, make the same links, or sync the files that they lead to.",
    )
    mtime: bool = Field(default=True, description="Give files the time of modification that they have at the source.")
    permissions: bool = Field(
        default=False, description="Give files and directories the permission bits that they have at the source."
    )
    atomic: bool = Field(
        default=False,
        description="Build the new tree beside the old one and exchange them in one step, so that nobody sees a mixture.",
    )
    durable: bool = Field(
        default=True, description="Give a file its name only when its content is on the disk, so that it survives a power cut."
    )
    downloads: Annotated[int, Field(gt=0, le=64), WHOLE_NUMBER] = Field(
        default=4, description="Requests for files at once; for a local disk, at most one for each core."
    )
    skip_unreadable: bool = Field(
        default=False,
        description="Leave out files that cannot be read, sent, written or deleted, with a warning instead of an error.",
    )
    files_per_request: FilesPerRequest | None = Field(
        default=None, description="Files to ask for at once, at most 998. Otherwise the client's `files_per_request`."
    )
    bytes_per_request: PositiveWhole = Field(
        default=64 * 1024 * 1024,
        description="Bytes of one answer: fewer large files are requested at once, to stay below.",
    )
    max_seconds: Seconds | None = Field(
        default=None,
        description="Longest time, in seconds, for comparing and downloading this directory. Otherwise the client's.",
    )


def kept_apart(directories: dict[str, TargetDirectory]) -> dict[str, TargetDirectory]:
    """Refuse directories if the sync of one would delete files of another; see :func:`undone_directory`.

    :raises PydanticCustomError: naming both
    """
    if message := undone_directory(directories.values()):
        raise wrong_value(message)
    return directories


def undone_directory(directories: Iterable[TargetDirectory]) -> str | None:
    """Return a message if one directory's sync would delete the files of another, whose path is inside its own; else ``None``.

    Files that ``include`` and ``exclude`` leave out are not deleted, so with these options directories may share a folder.
    """
    entries = list(directories)
    emptying = {_normalised(entry.path): entry for entry in entries if entry.delete and not (entry.include or entry.exclude)}
    for entry in entries:
        path = PurePosixPath(_normalised(entry.path))
        for folder in map(str, (path, *path.parents)):
            other = emptying.get(folder, entry)
            if other is not entry:
                return (
                    f"{entry.name!r} goes into the folder of {other.name!r}, whose sync would delete its files. Give it a path"
                    f" outside {other.path}, or set `delete: false`, or `exclude`, for {other.name!r}."
                )
    return None


def _normalised(path: str) -> str:
    local = path.removeprefix("file://")
    return normpath(path if "://" in local else Path(local).expanduser().absolute())


def directory_from_options(name: str, options: Mapping[str, Any] | None) -> TargetDirectory:
    """Build the configuration of one target directory; see :func:`.table_from_options`."""
    return entry_from_options("directories", name, options, TargetDirectory)
