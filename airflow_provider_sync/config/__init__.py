"""The user's configuration as frozen values, which are validated when they are made from YAML, a mapping or keywords.

Opening the databases, directories and sockets that they name belongs to the layers above.
"""

from airflow_provider_sync.config.cache import cache_path
from airflow_provider_sync.config.client import (
    DEFAULT_FILES_PER_REQUEST,
    DEFAULT_MAX_SECONDS,
    DEFAULT_MAX_SILENCE,
    PROTOCOLS,
    ClientConfig,
)
from airflow_provider_sync.config.directories import (
    DirectoryConfig,
    SourceDirectory,
    TargetDirectory,
    directory_from_options,
    undone_directory,
)
from airflow_provider_sync.config.limits import DEFAULT_MAX_DELETES, DeleteLimit, ServerLimits, SizeLimits
from airflow_provider_sync.config.server import ServerConfig
from airflow_provider_sync.config.source_tables import SourceTable
from airflow_provider_sync.config.tables import TableConfig, connection_url
from airflow_provider_sync.config.target_tables import TargetTable, table_from_options
from airflow_provider_sync.config.tokens import Token

__all__ = [
    "DEFAULT_FILES_PER_REQUEST",
    "DEFAULT_MAX_DELETES",
    "DEFAULT_MAX_SECONDS",
    "DEFAULT_MAX_SILENCE",
    "PROTOCOLS",
    "ClientConfig",
    "DeleteLimit",
    "DirectoryConfig",
    "ServerConfig",
    "ServerLimits",
    "SizeLimits",
    "SourceDirectory",
    "SourceTable",
    "TableConfig",
    "TargetDirectory",
    "TargetTable",
    "Token",
    "cache_path",
    "connection_url",
    "directory_from_options",
    "table_from_options",
    "undone_directory",
]
