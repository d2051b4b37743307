"""The keep-alive messages that a server sends while the next message takes long, one for each kind of answer."""

from __future__ import annotations

from airflow_provider_sync.protocol.v2.file_messages import Chunks, Content, Entries, FileDigests
from airflow_provider_sync.protocol.v2.messages import RowDigests, Rows, Segments

NO_SEGMENTS = Segments(numbers=(), counts=(), sums=())
NO_ROW_DIGESTS = RowDigests(count=0, keys=b"", digests=b"")
NO_ROWS = Rows(count=0, data=b"")

NO_ENTRIES = Entries(entries=())
NO_FILE_DIGESTS = FileDigests(digests=())
NO_CONTENT = Content(number=0)
NO_CHUNKS = Chunks(lengths=(), digests=b"")
