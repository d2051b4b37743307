"""What a sync did, in numbers.

Reports are plain values: operators return them, commands print them, tests compare them. How they are shown belongs to
the callers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from airflow_provider_sync.printable import printable_lines

Status = Literal["unchanged", "changed", "planned", "failed"]
Verified = Literal["digest", "hash", "rows"]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that reports of tables and of directories share.

    :ivar name: the name under which the server offers the table or directory
    :ivar status: ``planned`` is the status of a dry run that found changes
    :ivar protocol: version of the protocol that was used
    :ivar requests: number of HTTP requests, retries included; a request about several tables counts for the first
    :ivar bytes_received: bytes of the answers' bodies, compressed as they were received
    :ivar bytes_sent: bytes of the requests' bodies
    :ivar verified: how the target was checked before the commit; ``None`` if it was not
    :ivar warnings: what the user should know although the sync succeeded
    :ivar error: why it failed, in one line; ``None`` unless ``status`` is ``failed``
    :ivar seconds: duration of the work on this table or directory; shared work for several counts for the first
    """

    name: str
    kind: str
    status: Status
    protocol: Literal[1, 2] = 1
    requests: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    verified: Verified | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        # Both quote names of the source, which may contain any characters.
        msgspec.structs.force_setattr(self, "warnings", tuple(map(printable_lines, self.warnings)))
        if self.error is not None:
            msgspec.structs.force_setattr(self, "error", printable_lines(self.error))

    @property
    def changed(self) -> bool:
        """Whether source and target differed."""
        return self.status in ("changed", "planned")

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a mapping of JSON values."""
        # Through JSON itself: msgspec.to_builtins would leave tuples, which JSON does not have.
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return plain


class TableReport(Report, frozen=True, kw_only=True):
    """What the sync of one table did.

    :ivar rows_total: rows of the source; with a window, rows in the window
    :ivar rows_received: rows that the server sent; digests do not count
    :ivar schema_changes: changes to the target table besides its rows, made or planned; the table itself, if it was created
    :ivar orphans: number of rows whose foreign key refers to no row after the merge, by ``table.constraint``
    """

    kind: str = "table"
    rows_total: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_deleted: int = 0
    rows_received: int = 0
    schema_changes: tuple[str, ...] = ()
    orphans: dict[str, int] = {}

    def __post_init__(self) -> None:
        super().__post_init__()
        msgspec.structs.force_setattr(self, "schema_changes", tuple(map(printable_lines, self.schema_changes)))


class DirectoryReport(Report, frozen=True, kw_only=True):
    """What the sync of one directory did.

    :ivar files_total: files of the source that the patterns select
    :ivar files_touched: files of which only the time of modification or the permissions were changed
    :ivar files_moved: added or updated files whose content the target already had
    :ivar files_read: files of the target that were read to compare them
    :ivar bytes_written: bytes of content that were written to the target
    """

    kind: str = "directory"
    files_total: int = 0
    files_added: int = 0
    files_updated: int = 0
    files_deleted: int = 0
    files_touched: int = 0
    files_moved: int = 0
    files_read: int = 0
    bytes_written: int = 0


def report_from_dict(plain: Mapping[str, Any]) -> Report:
    """Return the report that :meth:`Report.to_dict` has written."""
    kind = TableReport if plain["kind"] == "table" else DirectoryReport
    return msgspec.convert(plain, kind)


def all_failed(tables: Iterable[str], directories: Iterable[str], reason: str) -> list[Report]:
    """Report tables and directories as failed for the same reason, by their names."""
    return [
        *(TableReport(name=name, status="failed", error=reason) for name in tables),
        *(DirectoryReport(name=name, status="failed", error=reason) for name in directories),
    ]
