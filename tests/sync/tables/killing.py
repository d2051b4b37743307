"""Syncs that are killed at a point of the code, as the kernel does when memory runs out.

Points are written as ``before module:Class.method`` or ``after module:function``; those that matter have names here.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import wraps
from importlib import import_module
from typing import Any, NoReturn

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import directory_from_options, table_from_options
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.files import open_storage
from airflow_provider_sync.sync import sync_directory, sync_tables
from tests.sync.tables.forked import run_forked

PACKAGE = "airflow_provider_sync."

DIFFERENCE_POINTS = {
    "lock held": "before sync.tables.transaction_sync:TransactionSync._stage_and_merge",
    "segments compared": "after sync.tables.version2.source:follow_plan",
    "staging table made": "after merge.staging:Staging.create",
    "rows staged": "after merge.staging:Staging.load_text",
    "keys to delete staged": "after sync.tables.version2.stage:Stager._list_removed",
    "work tables made": "before merge.merge:TableMerge.list_changes",
    "changes listed": "after merge.merge:TableMerge.list_changes",
    "rows deleted": "after merge.merge:TableMerge.delete",
    "rows written": "after merge.merge:TableMerge.write",
    "rows compared": "after merge.merge:TableMerge.verify",
    "digests compared": "after sync.tables.version2.verify:FetchedRows.verify",
}
"""Points of a sync that updates, inserts and deletes, before its commit: the target is as it was."""

FIRST_POINTS = {
    "direct load begun": "before merge.direct_load:DirectLoad.write",
    "first rows arrive": "after client.table_streams:RowsAnswer.__init__",
    "all rows loaded": "after merge.direct_load:DirectLoad.write",
    "load compared": "after sync.tables.version2.first_load:FirstRows.verify",
}
"""Points of a first sync, before its commit: the target is empty."""

MAKING_POINTS = {
    "table to be made": "before sync.tables.new_target.creation:_create",
    "first statement of a detail": "before sync.tables.new_target.creation:_make_later",
    "second statement of a detail": "after sync.tables.new_target.creation:_make_later",
    "table made": "after sync.tables.new_target.creation:_create",
    "first rows arrive": "after client.table_streams:RowsAnswer.__init__",
    "all rows loaded": "after merge.direct_load:DirectLoad.write",
    "rows committed": "before sync.tables.new_target.foreign_keys:add_foreign_keys",
    "foreign key to be added": "before sync.tables.new_target.foreign_keys:_attempt",
    "foreign key added": "before sync.tables.new_target.foreign_keys:_set_comment",
    "table finished": "after sync.tables.new_target.foreign_keys:_set_comment",
}
"""Points of a run that makes its targets, with indexes, foreign keys and comments; no engine has all of them."""

COMMITTED_POINTS = {
    "staging to be dropped": "before merge.staging:Staging.drop",
    "staging dropped": "after merge.staging:Staging.drop",
}
"""Points behind the commit: the target is new."""

FILE_POINTS = {
    "directory locked": "before files.local.local_storage:LocalStorage.clean",
    "manifests compared": "after sync.directories.version1.pipeline:DirectorySync.compare",
    "temporary file made": "after files.local.writer:LocalTreeWriter.create",
    "content written": "after files.local.new_file:LocalNewFile.write",
    "content durable": "after files.local.pending_files:Durability.sync",
    "moved aside": "after files.local.obstacles:Obstacles._exchange",
    "file placed": "after files.local.commits:LocalCommits._place",
    "all files arrived": "after sync.directories.version1.downloads:FileDownloads.run",
    "file deleted": "after files.local.writer:LocalTreeWriter.remove",
    "before names are durable": "before files.local.writer:LocalTreeWriter._end",
}
"""Points of the sync of a directory by version 1: each file is old or new."""

VERSION2_FILE_POINTS = {
    "both sides compared": "after sync.directories.version2.settle:Settling.run",
    "temporary file made": "after files.local.writer:LocalTreeWriter.put",
    "content durable": "after files.local.pending_files:Durability.sync",
    "file placed": "after files.local.commits:LocalCommits._place",
    "all files arrived": "after sync.directories.version2.fetch:Fetching.run",
    "file deleted": "after files.local.writer:LocalTreeWriter.remove",
    "before names are durable": "before files.local.writer:LocalTreeWriter._end",
}
"""The same by version 2."""


def die(*_: Any, **__: Any) -> NoReturn:
    """End this process at once, without any clearing up."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def owner_of(point: str) -> tuple[Any, str]:
    """Return the module or class that has a point, and its name there."""
    module_name, _, path = point.partition(" ")[2].partition(":")
    owner: Any = import_module(PACKAGE + module_name)
    *classes, name = path.split(".")
    for class_name in classes:
        owner = getattr(owner, class_name)
    return owner, name


def die_at(point: str) -> None:
    """Let this process die at a point, the first time that it gets there."""
    when = point.partition(" ")[0]
    owner, name = owner_of(point)
    original = getattr(owner, name)

    @wraps(original)
    def dying(*arguments: Any, **options: Any) -> Any:
        if when == "before":
            die()
        original(*arguments, **options)
        die()

    setattr(owner, name, dying)
    # Modules that imported the function have it under names of their own.
    for module in [module for name, module in sys.modules.items() if name.startswith(PACKAGE)]:
        for own_name, value in list(vars(module).items()):
            if value is original:
                setattr(module, own_name, dying)


def run_killed(kind: str, server_url: str, target: str, names: str, options: str, point: str) -> int:
    """Sync in a process that dies, and return its exit code.

    :param kind: ``table``, ``files``, or ``files of version 1``
    :param target: URL of a database, or path of a folder
    :param names: of tables, with commas between them, or of one directory
    :param options: of each table or of the directory, as JSON
    """
    return run_forked(_sync_and_die, kind, server_url, target, names, options, point)


def _sync_and_die(kind: str, url: str, target: str, name: str, options: str, point: str) -> None:
    die_at(point)
    with SyncClient(url, retries=0, protocol="1" if kind == "files of version 1" else "auto") as client:
        if kind.startswith("files"):
            sync_directory(client, directory_from_options(name, {"path": target, **json.loads(options)}), open_storage(target))
        else:
            tables = [table_from_options(each, json.loads(options)) for each in name.split(",")]
            sync_tables(client, tables, database_for(open_engine(target)))
