"""Derive from a directory's options which files to sync and what counts as a difference."""

from __future__ import annotations

import re

import msgspec

from airflow_provider_sync.config import TargetDirectory
from airflow_provider_sync.files import PathFilter, Storage
from airflow_provider_sync.sync.directories.version2.plan import Action, Rules


def rules_for(directory: TargetDirectory, storage: Storage) -> Rules:
    """Return the rules for what counts as a difference.

    With ``hasher: none``, files are not read for the comparison. Object stores keep neither times nor permissions, and some file
    systems keep no permissions.
    """
    return Rules(
        checksum="never" if directory.hasher == "none" and directory.checksum == "cached" else directory.checksum,
        mtime=directory.mtime and not storage.is_remote,
        time_step_ns=storage.time_step_ns,
        permissions=directory.permissions and storage.keeps_permissions,
        directories=not directory.include,
    )


def selection_of(directory: TargetDirectory, storage: Storage) -> PathFilter:
    """Return the filter for the files to sync; it excludes backups inside the directory."""
    exclude = directory.exclude
    backup = None if directory.backup is None else storage.backup_inside(directory.backup)
    if backup is not None:
        exclude = (*exclude, f"{_literal(backup)}/")
    return PathFilter(directory.include, exclude)


def ignored_actions(directory: TargetDirectory, storage: Storage) -> frozenset[Action]:
    """Return the actions that a sync leaves out, such as those on directories in object stores."""
    ignored: set[Action] = {"same", "left"}
    if not directory.delete:
        ignored |= {"removed", "remove_directory"}
    if storage.is_remote:
        ignored |= {"make_directory", "remove_directory"}
    return frozenset(ignored)


def scope_of(directory: TargetDirectory) -> str:
    """Return the key of the selected files in the digest cache."""
    return msgspec.json.encode((directory.include, directory.exclude, directory.links == "keep")).decode()


def _literal(path: str) -> str:
    """Return the pattern that matches exactly this path."""
    return re.sub(r"([*?[])", r"[\1]", path)
