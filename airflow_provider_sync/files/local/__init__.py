"""A directory on a local disk: walk, read and write it, without losing data and without leaving the directory."""
