"""Metrics of several processes that answer at one address: files that each writes alone, prometheus-client's "multiprocess mode".

Whoever starts the processes sets :data:`SHARED_FOLDER` in the environment. What a metric is, is in :mod:`.metrics`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Variable of the environment: the folder through which processes add up their metrics; read when the first one is made."""

_ADDED_UP = ("counter", "histogram")
"""What prometheus-client calls the files whose values stay when their process ends."""

_ENDED = "ended"
"""Stands in the name of a file in place of the number of a process: what all that have ended counted."""


def share_metrics(folder: Path) -> None:
    """Have the processes that this one starts from now on add up their metrics, unless the environment says so already.

    :param folder: which none of them has used before; made if it is missing
    """
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    os.environ.setdefault(SHARED_FOLDER, str(folder))


def shared_exposition() -> bytes | None:
    """Return the metrics of all processes as text; ``None`` if this one shares its metrics with none."""
    if (folder := _folder()) is None:
        return None
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it registers itself
    with _locked(folder, fcntl.LOCK_SH):
        return generate_latest(registry)


def forget_process(process: int) -> None:
    """Take what went on in a process that has ended out of the shared metrics; what it counted stays, in one file for all such.

    :param process: its number
    """
    folder = _folder()
    if folder is None or not folder.is_dir():
        return
    from prometheus_client.multiprocess import mark_process_dead

    with _locked(folder, fcntl.LOCK_EX):
        mark_process_dead(process)  # type: ignore[no-untyped-call]  # it has no annotations
        for kind in _ADDED_UP:
            _add_up(folder / f"{kind}_{process}.db", folder / f"{kind}_{_ENDED}.db")


def _add_up(counted: Path, total: Path) -> None:
    from prometheus_client.mmap_dict import MmapedDict

    if not counted.exists():
        return
    # A process that is killed while it makes the file leaves it empty.
    if counted.stat().st_size:
        sums = MmapedDict(str(total))  # type: ignore[no-untyped-call]
        for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(str(counted)):  # type: ignore[no-untyped-call]
            sums.write_value(key, sums.read_value(key)[0] + value, timestamp)  # type: ignore[no-untyped-call]
        sums.close()  # type: ignore[no-untyped-call]
    counted.unlink()


def _folder() -> Path | None:
    return Path(os.environ[SHARED_FOLDER]) if SHARED_FOLDER in os.environ else None


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """Hold a lock on the folder: while it is read, nothing is moved from file to file."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
