"""Sync tables by protocol version 2: both sides digest segments in parallel, and only rows that differ are fetched.

:mod:`.source` is the source of a sync. :mod:`.plan` decides on the next request, and :mod:`.follow_plan` makes it. :mod:`.stage`
puts the rows that differ into the staging table, and :mod:`.verify` verifies them before the commit. :mod:`.first_load` loads an
empty target without either.
"""
