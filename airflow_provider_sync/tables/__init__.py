"""One table in one database: describe it, hash it, read it, stage rows beside it, merge them into it.

Knows nothing of HTTP and nothing of the other side. All that differs between databases is in :mod:`.engines`, behind
one contract.
"""
