"""What goes wrong during the soak, at moments that a seed decides."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import make_url

from tests.airflow_stack import SCHEDULER
from tests.database_server import administer
from tests.faults.proxy import ANSWERS, Damage
from tests.server.process.running import write_config
from tests.soak.processes import children_of
from tests.soak.site import Site

_SECONDS_BETWEEN = (5.0, 20.0)
_LONGEST_LOCK = 15.0
_FURTHEST_CUT = 100_000


def cut_connections(site: Site, chance: random.Random) -> bool:
    """Cut all connections to the server."""
    site.proxy.cut_all()
    return True


def cut_answer(site: Site, chance: random.Random) -> bool:
    """Cut an answer in its middle."""
    site.proxy.set(Damage(ANSWERS, chance.randrange(_FURTHEST_CUT), None))
    return True


def kill_task(site: Site, chance: random.Random) -> bool:
    """Kill a task that runs, with SIGKILL."""
    # The scheduler starts workers of the executor, and each of them the task that it has.
    workers = children_of(site.airflow.pid(SCHEDULER))
    tasks = [task for worker in workers for task in children_of(worker)]
    return bool(tasks) and _kill(chance.choice(tasks))


def kill_worker(site: Site, chance: random.Random) -> bool:
    """Kill the younger worker of the server, with SIGKILL; the older one has to last for the whole soak."""
    workers = site.server.workers
    return len(workers) > 1 and _kill(workers[-1])


def reload(site: Site, chance: random.Random) -> bool:
    """Have the server read its configuration again."""
    site.server.process.send_signal(signal.SIGHUP)
    return True


def reload_wrong(site: Site, chance: random.Random) -> bool:
    """Have the server read a configuration that is wrong, and keep the old one."""
    return _other_configuration(site, tabels={})


def fill_audit_log(site: Site, chance: random.Random) -> bool:
    """Have no room for the audit log for a while."""
    return _other_configuration(site, audit_log="/dev/full")


def lock_table(site: Site, chance: random.Random) -> bool:
    """Lock a table of the source for a while, so that nobody can read it."""
    with site.places.postgresql_source.connect() as connection:
        connection.exec_driver_sql(f"LOCK TABLE {chance.choice(('orders', 'events', 'prices'))} IN ACCESS EXCLUSIVE MODE")
        time.sleep(chance.uniform(1, _LONGEST_LOCK))
        connection.rollback()
    return True


def end_sessions(site: Site, chance: random.Random) -> bool:
    """End all sessions of the target in PostgreSQL, as its administrator may."""
    url = make_url(site.places.urls["postgresql"])
    with site.places.sessions, administer(str(url.set(database="postgres"))) as connection:
        statement = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{url.database}'"
        return bool(connection.exec_driver_sql(statement).all())


KINDS: tuple[Callable[[Site, random.Random], bool], ...] = (
    cut_connections,
    cut_answer,
    kill_task,
    kill_worker,
    reload,
    reload_wrong,
    fill_audit_log,
    lock_table,
    end_sessions,
)


class Disturbances(threading.Thread):
    """A thread that disturbs the site until it is stopped.

    :ivar done: how often each kind took place
    """

    def __init__(self, site: Site, chance: random.Random) -> None:
        super().__init__(name="soak-disturbances", daemon=True)
        self.site, self.chance = site, chance
        self.done: Counter[str] = Counter()
        self.error: Exception | None = None
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Choose a kind, do it, and pause."""
        try:
            while not self._stop_asked.wait(self.chance.uniform(*_SECONDS_BETWEEN)):
                kind = self.chance.choice(KINDS)
                self.done[kind.__name__] += kind(self.site, self.chance)
        except Exception as error:  # noqa: BLE001  # shown by whoever waits for the thread
            self.error = error

    def stop(self) -> None:
        """Disturb no more, and put everything right; raise what had ended the thread before."""
        self._stop_asked.set()
        self.join()
        self.site.proxy.set(None)
        if self.error is not None:
            raise self.error


def _kill(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _other_configuration(site: Site, **options: object) -> bool:
    for settings in ({**site.settings, **options}, site.settings):
        write_config(site.server.config, **settings)
        site.server.process.send_signal(signal.SIGHUP)
        time.sleep(5)
    return True
