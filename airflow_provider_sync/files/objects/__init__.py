"""A prefix in an object store, or a directory of any other file system that fsspec knows."""
