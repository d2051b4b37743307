"""One directory: scan it, compare it, read it, write it safely; on local disk or in an object store.

Knows nothing of HTTP and nothing of the other side. All that differs between storages is behind :class:`.storage.Storage`.
"""

from airflow_provider_sync.files.hashers import FileHasher, Md5Hasher, NoneHasher, StreamDigest, load_hasher
from airflow_provider_sync.files.manifest import Changes, build_manifest, compare, selected
from airflow_provider_sync.files.paths import case_clashes, check_name
from airflow_provider_sync.files.patterns import EVERYTHING, PathFilter
from airflow_provider_sync.files.storage import FileEntry, FileReader, FileWriter, Storage, open_storage

__all__ = [
    "EVERYTHING",
    "Changes",
    "FileEntry",
    "FileHasher",
    "FileReader",
    "FileWriter",
    "Md5Hasher",
    "NoneHasher",
    "PathFilter",
    "Storage",
    "StreamDigest",
    "build_manifest",
    "case_clashes",
    "check_name",
    "compare",
    "load_hasher",
    "open_storage",
    "selected",
]
