"""Version 1 of the protocol: the one that every existing sync server and client speaks.

What the modules here turn into bytes and back is described in the protocol reference, section "Version 1". Both halves use them;
none of them opens a connection, a file or a database.
"""

EMPTY = "--EMPTY--"
"""Stands for the hash of a table without rows."""

NULL = b"NULL9cf4-973a-4539-a5f2-8d4bde0aNULL"
"""Stands for NULL in the text that is hashed."""

MAX_NAME = 255
"""Most characters in the name of a table, and in a hash that a client sends."""

TIME_ZONE_HEADER = "Sync-Time-Zone"
"""Header of our own server's ``/getTable``: the time zone of its TIMESTAMP texts. Existing servers do not have it, and an answer
that has it is of one snapshot."""
