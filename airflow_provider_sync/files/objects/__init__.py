"""Storage of files under a prefix in an object store, or in a directory of any other file system that fsspec supports."""
