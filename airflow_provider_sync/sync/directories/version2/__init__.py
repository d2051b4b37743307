"""Sync directories by protocol version 2: merge two sorted listings as streams, and transfer only what differs.

::

    compare ── both listings, in parallel, each into a list that spills to disk
      plan ─── one decision for each path; no input or output
    settle ─── digests of files for which size and times do not decide, on both sides in parallel
    fetch ──── batches bounded by bytes, several requests in parallel
    apply ──── metadata, links, deletes, directories: last, and only if nothing failed
"""
