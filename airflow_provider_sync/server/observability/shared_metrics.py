"""Share metrics between processes that serve one address, by prometheus-client's multiprocess mode: each writes its own files.

The parent process sets :data:`SHARED_FOLDER` in the environment. The metrics are defined in :mod:`.metrics`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder of the shared metrics files; read when the first metric is created."""

_ADDED_UP = ("counter", "histogram")
"""Prefixes of prometheus-client's files whose values are kept when their process ends."""

_ENDED = "ended"
"""Used instead of a process id in the name of the file that has the counts of all ended processes."""


def share_metrics(folder: Path) -> None:
    """Make the processes that this one starts from now on share their metrics, unless the environment already does.

    :param folder: a folder that none of them has used before; created if missing
    """
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    os.environ.setdefault(SHARED_FOLDER, str(folder))


def shared_exposition() -> bytes | None:
    """Return the metrics of all processes as text; ``None`` if this process does not share its metrics."""
    if (folder := _folder()) is None:
        return None
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Counted(folder))
    with _locked(folder, fcntl.LOCK_SH):
        return generate_latest(registry)


def forget_process(process: int) -> None:
    """Remove the gauges of an ended process from the shared metrics, and move its counts to the file of all ended processes.

    :param process: id of the process
    """
    folder = _folder()
    if folder is None or not folder.is_dir():
        return
    from prometheus_client.multiprocess import mark_process_dead

    with _locked(folder, fcntl.LOCK_EX):
        mark_process_dead(process)  # type: ignore[no-untyped-call]  # it has no annotations
        for kind in _ADDED_UP:
            _add_up(folder / f"{kind}_{process}.db", folder / f"{kind}_{_ENDED}.db")


class _Counted:
    """Adds up the files of all processes, but those that their processes are just creating, which are empty."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Return the sums; called by the registry."""
        from prometheus_client.multiprocess import MultiProcessCollector

        files = [str(file) for file in self._folder.glob("*.db") if file.stat().st_size]
        return cast("Iterable[Metric]", MultiProcessCollector.merge(files))  # type: ignore[no-untyped-call]  # no annotations


def _add_up(counted: Path, total: Path) -> None:
    from prometheus_client.mmap_dict import MmapedDict

    if not counted.exists():
        return
    # A process that is killed while it creates the file leaves it empty.
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
    """Lock the folder, so that no counts are moved between files while it is read."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
