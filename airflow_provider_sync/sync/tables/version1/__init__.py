"""Tables by version 1 of the protocol: one hash for the whole table, and all of its rows or none.

:mod:`.hashes` compares both sides, :mod:`.download` asks for the rows until an answer can be merged, :mod:`.stage_answer` puts
one answer into the staging table, :mod:`.whole_table` proves the rows before the commit.
"""
