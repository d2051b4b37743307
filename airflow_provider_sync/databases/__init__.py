"""Access databases: one contract, one package per engine, and everything that engines share.

Nothing here knows about HTTP or the other side of a sync. :mod:`.registry` opens a database.
"""
