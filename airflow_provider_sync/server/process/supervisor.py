"""Supervise several worker processes that serve one socket: start, watch and replace them.

The parent holds the socket, reads the configuration, and sends it to each worker. It answers no requests itself::

    parent   signals, the files of the configuration, systemd
      ├── worker 1    an event loop, connections, threads
      └── worker 2

The parent has a pair of sockets with each worker. A worker sends a byte when it is ready and then one each second; the parent
sends configurations. Each side notices the end of the other, so that no worker outlives its parent.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import NoReturn

from airflow_provider_sync.exceptions import ConfigurationError, SyncError
from airflow_provider_sync.server.access.shared_places import SharedPlaces
from airflow_provider_sync.server.observability.shared_metrics import forget_process, share_metrics
from airflow_provider_sync.server.process.config_source import CHECK_SECONDS, ConfigSource
from airflow_provider_sync.server.process.systemd import Systemd
from airflow_provider_sync.server.process.uvicorn_server import MakeApp
from airflow_provider_sync.server.process.worker import send_config, work

log = logging.getLogger(__name__)

HANGING_SECONDS = 60.0
"""Seconds without a sign of life after which a worker is killed and replaced."""

_PAUSE_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 30.0
"""Maximum pause before a worker is replaced; the pause is doubled each time a worker ends soon after its start."""

_SOON_SECONDS = 10.0
"""Seconds after its start during which a worker's end counts as soon."""


def serve_with_workers(
    source: ConfigSource, listener: socket.socket, make_app: MakeApp, *, on_started: Callable[[], None], systemd: Systemd
) -> None:
    """Serve with the configured number of processes, until a signal ends them.

    :param on_started: called when all workers are ready
    :raises ConfigurationError: if a worker ends before it is ready
    """
    with TemporaryDirectory(prefix="airflow-sync-") as folder:
        places = SharedPlaces(Path(folder))
        share_metrics(Path(folder) / "metrics")

        def run(channel: socket.socket) -> None:
            # Again, in case a cleaner of temporary files has removed it.
            share_metrics(Path(folder) / "metrics")
            work(source.config, listener, channel, make_app, places)

        Supervisor(source, run, listener, on_started=on_started, systemd=systemd).run()


@dataclass(eq=False, slots=True)
class _Worker:
    """One worker process, as its parent sees it.

    :ivar channel: the parent's end of the pair of sockets
    :ivar began: time of its start, in monotonic seconds
    :ivar seen: time of its last sign of life, in monotonic seconds
    :ivar answers: whether it has reported that it is ready
    """

    number: int
    process: int
    channel: socket.socket
    began: float = field(default_factory=time.monotonic)
    seen: float = field(default_factory=time.monotonic)
    answers: bool = False


class Supervisor:
    """Starts, watches and replaces the workers: the parent's side.

    :param run: runs a worker, given its end of the pair of sockets
    """

    def __init__(
        self,
        source: ConfigSource,
        run: Callable[[socket.socket], None],
        listener: socket.socket,
        *,
        on_started: Callable[[], None],
        systemd: Systemd,
    ) -> None:
        self._source = source
        self._run = run
        self._listener = listener
        self._on_started = on_started
        self._systemd = systemd
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, _Worker] = {}
        self._due: dict[int, float] = {}
        self._pauses: dict[int, float] = {}
        self._started = False
        self._stops = 0
        self._stops_sent = 0

    def run(self) -> None:
        """Keep the workers running until a signal comes, and wait for their end."""
        with self._selector, self._stop_signals():
            self._due = dict.fromkeys(range(1, self._source.config.workers + 1), 0.0)
            try:
                self._keep_running()
            finally:
                for worker in self._workers.values():
                    with suppress(ProcessLookupError):
                        os.kill(worker.process, signal.SIGKILL)
                    os.waitpid(worker.process, 0)

    def _keep_running(self) -> None:
        next_check = time.monotonic()
        while self._due or self._workers:
            self._pass_on_stops()
            self._start_due()
            for key, _ in self._selector.select(self._wait_seconds()):
                self._listen_to(key.data)
            self._reap()
            if (now := time.monotonic()) >= next_check:
                next_check = now + CHECK_SECONDS
                self._systemd.alive()
                self._kill_hanging(now)
                if not self._stops and self._source.wants_reload():
                    self._reload()

    def _wait_seconds(self) -> float:
        next_start = min(self._due.values(), default=float("inf")) - time.monotonic()
        return max(0.0, min(next_start, CHECK_SECONDS / 2))

    def _start_due(self) -> None:
        now = time.monotonic()
        for number in [number for number, due in self._due.items() if due <= now]:
            del self._due[number]
            self._start(number)

    def _start(self, number: int) -> None:
        ours, theirs = socket.socketpair()
        # The worker has handlers of its own before a signal reaches it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        process = os.fork()
        if process == 0:
            self._be_worker(ours, theirs)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        theirs.close()
        ours.setblocking(False)
        worker = self._workers[process] = _Worker(number, process, ours)
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _be_worker(self, ours: socket.socket, theirs: socket.socket) -> NoReturn:
        code = 1
        try:
            # The parent's ends of the others: as long as one process holds them, their workers would not notice the parent's end.
            ours.close()
            for worker in self._workers.values():
                worker.channel.close()
            # Ctrl-C and a closed terminal signal all processes; the parent passes on the signals that workers should get.
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            # Until the server has handlers of its own, and again when it has stopped.
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            self._run(theirs)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except SyncError as error:
            log.error("A worker ended: %s", error)  # the message says it all
        except BaseException:
            log.exception("A worker ended by an error")
        finally:
            logging.shutdown()
            # Not the parent's clean-up.
            os._exit(code)

    def _listen_to(self, worker: _Worker) -> None:
        with suppress(BlockingIOError):
            if not _receive(worker.channel):
                self._selector.unregister(worker.channel)
                return
            worker.seen = time.monotonic()
            worker.answers = True
            if not self._started and not self._due and all(other.answers for other in self._workers.values()):
                self._started = True
                self._on_started()

    def _reap(self) -> None:
        for worker in list(self._workers.values()):
            process, status = os.waitpid(worker.process, os.WNOHANG)
            if process:
                self._ended(worker, os.waitstatus_to_exitcode(status))

    def _ended(self, worker: _Worker, code: int) -> None:
        del self._workers[worker.process]
        forget_process(worker.process)
        with suppress(KeyError):
            self._selector.unregister(worker.channel)
        worker.channel.close()
        if self._stops:
            return
        if not self._started:
            raise ConfigurationError("A worker ended before it answered; the log has the reason.")
        reason = f"signal {-code}" if code < 0 else f"exit code {code}"
        log.error("Worker %d (process %d) ended by %s. Another one takes its place.", worker.number, worker.process, reason)
        now = time.monotonic()
        if now - worker.began > _SOON_SECONDS:
            self._pauses.pop(worker.number, None)
        pause = self._pauses.get(worker.number, _PAUSE_SECONDS)
        self._pauses[worker.number] = min(_MAX_PAUSE_SECONDS, 2 * pause)
        self._due[worker.number] = now + pause

    def _kill_hanging(self, now: float) -> None:
        for worker in self._workers.values():
            if now - worker.seen > HANGING_SECONDS and not self._stops:
                log.error("Worker %d (process %d) hangs, and is killed.", worker.number, worker.process)
                with suppress(ProcessLookupError):
                    os.kill(worker.process, signal.SIGKILL)

    def _reload(self) -> None:
        self._systemd.reloading()
        config = self._source.next()
        if config is not None:
            what = "certificate" if config is self._source.config else "configuration"
            self._source.use(config)
            for worker in self._workers.values():
                send_config(worker.channel, config)
            log.info("The %s was read again, and given to the workers.", what)
        self._systemd.ready()

    def _pass_on_stops(self) -> None:
        """Tell the workers to stop; the second time, to end running requests."""
        if self._stops_sent == min(self._stops, 2):
            return
        self._stops_sent += 1
        if self._stops_sent == 1:
            self._systemd.stopping()
            self._listener.close()
            self._due.clear()
        for worker in self._workers.values():
            with suppress(ProcessLookupError):
                os.kill(worker.process, signal.SIGTERM)

    @contextmanager
    def _stop_signals(self) -> Iterator[None]:
        def stop(_number: int, _frame: FrameType | None) -> None:
            self._stops += 1

        previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _receive(channel: socket.socket) -> bytes:
    try:
        return channel.recv(4096)
    except ConnectionError:
        return b""
