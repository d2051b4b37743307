"""How files and directories of a local disk are opened: below the root, never through a symbolic link."""

from __future__ import annotations

import os

ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""The root, or a directory above it: either may be a link."""

DIRECTORY = ROOT | os.O_NOFOLLOW
"""A directory below the root."""

# A FIFO would block an open for reading without O_NONBLOCK; on regular files it has no effect.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""A file to read. What is no regular file is opened, too: callers look at its status."""

CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
"""A file that is not there yet."""
