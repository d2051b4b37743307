"""Create a missing target: its columns and key, its indexes, defaults and comments, and foreign keys once it has its rows.

:mod:`.description` asks the source, :mod:`.details` plans, :mod:`.creation` makes the table, :mod:`.foreign_keys` finishes it.
"""
