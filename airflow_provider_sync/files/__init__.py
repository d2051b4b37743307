"""Scan a directory, compare it, read it, and write it safely, on local disk or in an object store.

This package knows neither HTTP nor the other side of a sync. :class:`.storage.Storage` hides the differences between storages.
"""

from airflow_provider_sync.files.hashers import FileHasher, Md5Hasher, NoneHasher, StreamDigest, load_hasher
from airflow_provider_sync.files.manifest import Changes, build_manifest, compare, select_files
from airflow_provider_sync.files.name_clashes import NameClashes
from airflow_provider_sync.files.paths import check_name
from airflow_provider_sync.files.patterns import EVERYTHING, PathFilter
from airflow_provider_sync.files.storage import FileReader, Storage
from airflow_provider_sync.files.storage_of_path import open_storage

__all__ = [
    "EVERYTHING",
    "Changes",
    "FileHasher",
    "FileReader",
    "Md5Hasher",
    "NameClashes",
    "NoneHasher",
    "PathFilter",
    "Storage",
    "StreamDigest",
    "build_manifest",
    "check_name",
    "compare",
    "load_hasher",
    "open_storage",
    "select_files",
]
