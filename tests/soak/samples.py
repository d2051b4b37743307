"""Takes a sample of everything that must not grow: processes, databases, what is left in tables and folders."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Engine, make_url

from airflow_provider_sync.merge.staging_names import find_staging
from tests.database_server import administer
from tests.soak import figures
from tests.soak.figures import Sample
from tests.soak.processes import family_of, use_of
from tests.soak.site import COMPONENTS, Site

_SHARED_MEMORY = Path("/dev/shm")
# What processes like ours would leave there. Whoever else works on the machine keeps files of other names in it.
_OURS = ("airflow-sync", "psm_", "sem.")
_LOCK = re.compile(r"[0-9a-f]{16}\.\d+")


def take_sample(site: Site, *, at_rest: bool = False) -> Sample:
    """Measure everything once.

    :param at_rest: whether no sync runs, so that the DuckDB file can be opened
    """
    sample: Sample = {}
    workers = site.server.workers
    processes = {
        "server, main process": [site.server.process.pid],
        "server, oldest worker": workers[:1],
        "server, all workers": workers,
        **{name: family_of(site.airflow.pid(name)) for name in COMPONENTS},
    }
    for name, pids in processes.items():
        use = use_of(pids)
        sample[name, figures.MEGABYTES] = use.megabytes
        sample[name, figures.FILES] = use.files
        sample[name, figures.THREADS] = use.threads
    places = site.places
    for name in ("postgresql", "mariadb"):
        connections, transactions = _connections(places.urls[f"{name}_source"], places.urls[name])
        sample[name, figures.CONNECTIONS], sample[name, figures.TRANSACTIONS] = connections, transactions
    targets = {"postgresql": places.postgresql, "mariadb": places.mariadb} | ({"duckdb": places.duckdb} if at_rest else {})
    with places.sessions:
        for name, engine in targets.items():
            sample[name, figures.STAGING] = _staging(engine)
    sample["TMPDIR", figures.TEMPORARY] = _count(left_in(places.temporary))
    sample["copies of directories", figures.TEMPORARY] = _count(places.copies.rglob(".*"))
    sample["/dev/shm", figures.TEMPORARY] = sum(path.name.startswith(_OURS) for path in _SHARED_MEMORY.iterdir())
    sample["digest caches", figures.KEPT] = _megabytes(places.folder.glob("cache-*/**/*"))
    sample["history of syncs", figures.KEPT] = _megabytes((places.folder / "airflow").glob("sync-history.db*"))
    return sample


def left_in(folder: Path) -> list[Path]:
    """Return what is in a folder for temporary files, without what a server makes as it needs it, and keeps.

    These are the files of its counts, of which a worker has some from its first request on, and a lock for each request and
    each scan that it ever did at once, up to its limits.
    """
    return [path for path in folder.rglob("*") if path.parent.name != "metrics" and not _LOCK.fullmatch(path.name)]


def drop_staging(engine: Engine) -> None:
    """Drop all staging tables of a target, as ``airflow-sync clean`` does."""
    with engine.begin() as connection:
        for table, _ in find_staging(connection):
            connection.exec_driver_sql(f"DROP TABLE {table.name}")
    engine.dispose()


def _connections(*urls: str) -> tuple[int, int]:
    """Return the connections to databases of one server, and their open transactions."""
    names = ", ".join(f"'{make_url(url).database}'" for url in urls)
    url = make_url(urls[0])
    if url.get_backend_name() == "postgresql":
        statement = f"SELECT count(*), count(xact_start) FROM pg_stat_activity WHERE datname IN ({names})"
        url = url.set(database="postgres")
    else:
        statement = (
            "SELECT count(*), count(t.trx_id) FROM information_schema.processlist p"
            f" LEFT JOIN information_schema.innodb_trx t ON t.trx_mysql_thread_id = p.id WHERE p.db IN ({names})"
        )
        url = url.set(database="information_schema")
    with administer(url.render_as_string(hide_password=False)) as connection:
        row = connection.exec_driver_sql(statement).one()
    return int(row[0]), int(row[1])


def _staging(engine: Engine) -> int:
    with engine.connect() as connection:
        found = len(find_staging(connection))
    # The soak itself keeps no connection, so that none is counted.
    engine.dispose()
    return found


def _count(paths: Iterable[Path]) -> int:
    return sum(1 for _ in paths)


def _megabytes(paths: Iterable[Path]) -> float:
    return sum(path.stat().st_size for path in paths if path.is_file()) / 2**20
