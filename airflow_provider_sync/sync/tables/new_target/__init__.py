"""A target that is missing: what it gets besides columns and key, how it is made, and what is added once it has its rows.

:mod:`.description` asks the source, :mod:`.details` plans, :mod:`.creation` makes the table, :mod:`.foreign_keys` finishes it.
"""
