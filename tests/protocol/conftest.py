"""Property tests: the same examples on every run, and no clock, since the machine may be busy."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("sync", deadline=None, derandomize=True)
settings.load_profile("sync")
