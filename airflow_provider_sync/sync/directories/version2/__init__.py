"""Directories by version 2 of the protocol: two sorted listings are merged as streams, and only what differs moves.

::

    compare ── both listings, at the same time, each into a list that spills to disk
      plan ─── one decision for each path; no input or output
    settle ─── digests of files of which size and times say too little, on both sides at the same time
    fetch ──── batches bounded by bytes, several requests at once
    apply ──── metadata, links, deletes, directories: last, and only if nothing failed
"""
