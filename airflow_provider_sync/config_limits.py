"""How much a source may send, so that one that is broken or hostile fills neither disk nor memory."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.exceptions import ConfigurationError

_GIB = 1 << 30


class SizeLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``limits`` of ``client.yaml``; a sync that meets one ends before it has stored more, with an error that names it.

    :ivar max_table_bytes: text of the rows that one sync of a table receives
    :ivar max_rows: rows of a table
    :ivar max_file_bytes: content of one file
    :ivar max_directory_bytes: content that one sync of a directory, or one of its batches, receives
    :ivar max_files: files of a directory; names and digests of a million take about 300 MB of memory
    """

    max_table_bytes: int = 100 * _GIB
    max_rows: int = 2_000_000_000
    max_file_bytes: int = 100 * _GIB
    max_directory_bytes: int = 1024 * _GIB
    max_files: int = 1_000_000

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"limits.{name} is {getattr(self, name)}. Give more than 0.")
