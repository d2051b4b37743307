"""Version 1 of the protocol, which every existing sync server and client speaks.

The modules here encode and decode its requests and answers; the protocol reference describes them in section "Version 1". Client
and server both use them. None of them opens a connection, a file or a database.
"""

EMPTY = "--EMPTY--"
"""The hash of a table without rows."""

NULL = b"NULL9cf4-973a-4539-a5f2-8d4bde0aNULL"
"""NULL in the text that is hashed."""

MAX_NAME = 255
"""Longest table name, and longest hash that a client may send, in characters."""

TIME_ZONE_HEADER = "Sync-Time-Zone"
"""Header of ``/getTable`` and ``/getTableHash``: the time zone of TIMESTAMP texts. Only this package's server sends it; the rows
of an answer with this header are from one snapshot."""
