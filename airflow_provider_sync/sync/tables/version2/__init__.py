"""Tables by version 2 of the protocol: both sides digest segments at the same time, and only rows that differ are fetched.

:mod:`.source` is the source of a sync. :mod:`.plan` decides what is asked next, and :mod:`.follow_plan` asks it. :mod:`.stage`
puts the rows that differ into the staging table, :mod:`.verify` proves them before the commit; :mod:`.first_load` needs neither.
"""
