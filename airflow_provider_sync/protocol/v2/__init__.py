"""Version 2 of the protocol: digests of segments, digests of rows, and only the rows that differ; and the same for files.

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
      │                                                             │
      │  POST listFiles       the state that was seen last          │
      │ ───────────────────────────────────────────────────────────▶│  Entries …, Listed, End; or Unchanged, End
      │  POST digestFiles     files of the same size                │
      │ ───────────────────────────────────────────────────────────▶│  FileDigests …, End
      │  POST readFiles       files, or ranges of them              │
      │ ───────────────────────────────────────────────────────────▶│  Content …, End

The source's description is the contract: both sides render their values as its types say (:mod:`.row_text`), so that
equal rows have equal digests on every engine. No answer depends on an earlier one, and no state is kept between them.
"""
