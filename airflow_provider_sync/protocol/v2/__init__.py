"""Version 2 of the protocol: digests of segments, digests of rows, and only the rows that differ.

::

    client                                                        server
      │  GET  capabilities                                          │
      │ ───────────────────────────────────────────────────────────▶│  once per client
      │  POST describeTable   columns, window                       │
      │ ───────────────────────────────────────────────────────────▶│  Described, Segments …, End   (one snapshot)
      │  POST digestRows      the segments that differ              │
      │ ───────────────────────────────────────────────────────────▶│  RowDigests …, End
      │  POST getRows         keys, or everything                   │
      │ ───────────────────────────────────────────────────────────▶│  Rows …, End

The source's description is the contract: both sides render their values as its types say (:mod:`.row_text`), so that
equal rows have equal digests on every engine. No answer depends on an earlier one, and no state is kept between them.
"""
