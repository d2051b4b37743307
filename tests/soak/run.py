"""Run the soak: ``make soak``, or ``python -m tests.soak.run --minutes 10``.

It ends with 1 when a last run fails, a copy differs from its source, or something grew.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.airflow_stack import ENDED
from tests.database_servers import POSTGRESQL, DatabaseServers
from tests.soak.disturbances import Disturbances
from tests.soak.figures import Figures
from tests.soak.places import made_places
from tests.soak.samples import drop_staging, take_sample
from tests.soak.site import CHECK, DAGS, TABLE_STEPS, Site, running_site
from tests.soak.sources import Sources, differences

DONE, FAILED = 0, 1
_SAMPLE_SECONDS = 10.0
# So many DAGs run at once: more would only wait for the machine.
_AT_ONCE = 4
_RUN_SECONDS = 600.0
# Airflow and the server close what they do not need any more after a while.
_FIRST_REST_SECONDS, _LONGEST_REST_SECONDS = 30.0, 120.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, print the figures, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long sources change and faults happen (default: 60)")
    parser.add_argument("--seed", type=int, default=None, help="of all that is random (default: a new one)")
    options = parser.parse_args(arguments)
    seed = random.randrange(10**6) if options.seed is None else options.seed
    print(f"Seed {seed}, {options.minutes:g} minutes", flush=True)
    servers = DatabaseServers()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="sync-soak-", ignore_cleanup_errors=True) as folder,
            servers.database(POSTGRESQL, Path(folder)) as metadata_url,
            made_places(servers, Path(folder)) as places,
        ):
            sources = Sources(places, random.Random(seed))
            sources.fill()
            with running_site(servers, places, metadata_url) as site:
                problems = soak(site, sources, random.Random(seed + 1), options.minutes)
    finally:
        servers.stop()
    for problem in problems:
        print(f"FAILED: {problem}")
    return FAILED if problems else DONE


def soak(site: Site, sources: Sources, chance: random.Random, minutes: float) -> list[str]:
    """Let everything work for so long, come to rest, and say what is wrong."""
    figures = Figures()
    # Twice, since workers of the executor that were not needed in the first round are not warm yet.
    problems = run_each(site) + run_each(site)
    figures.start = rest(site)
    print("All DAGs have run twice. The sources change now, and faults happen.", flush=True)
    disturbances = Disturbances(site, chance)
    sources.start()
    disturbances.start()
    until = time.monotonic() + minutes * 60
    next_sample = time.monotonic()
    active: dict[str, str] = {}
    states: Counter[tuple[str, str]] = Counter()
    while time.monotonic() < until:
        states.update(keep_running(site, active, chance))
        if time.monotonic() >= next_sample:
            figures.working.append(take_sample(site))
            next_sample = time.monotonic() + _SAMPLE_SECONDS
        time.sleep(1)
    disturbances.stop()
    sources.stop()
    states.update((dag, site.airflow.wait_for_run(dag, run_id, seconds=_RUN_SECONDS)) for dag, run_id in active.items())
    if states[TABLE_STEPS, "failed"]:
        # Its staging tables stay for whoever clears the failed task; nobody will.
        drop_staging(site.places.mariadb)
    problems += run_each(site) + [f"{copy} differs from its source" for copy in differences(site.places)]
    figures.end = rest(site, figures)
    show(figures, states, disturbances.done, sources.changes)
    return problems + figures.growth()


def keep_running(site: Site, active: dict[str, str], chance: random.Random) -> list[tuple[str, str]]:
    """Start DAGs that do not run, in a random order, and return how runs that have ended did."""
    ended = []
    for dag, run_id in list(active.items()):
        state = next(run["state"] for run in site.airflow.runs(dag) if run["dag_run_id"] == run_id)
        if state in ENDED:
            ended.append((dag, state))
            if state != "success":
                print(f"A run of {dag} failed: {failures(site, dag, run_id)}", flush=True)
            del active[dag]
    resting = [dag for dag in DAGS if dag not in active]
    for dag in chance.sample(resting, _AT_ONCE - len(active)):
        active[dag] = site.airflow.trigger(dag)
    return ended


def run_each(site: Site) -> list[str]:
    """Run each DAG once, the check after all others, and say which did not succeed."""
    problems = []
    for dags in ([dag for dag in DAGS if dag != CHECK], [CHECK]):
        runs = {dag: site.airflow.trigger(dag) for dag in dags}
        for dag, run_id in runs.items():
            state = site.airflow.wait_for_run(dag, run_id, seconds=_RUN_SECONDS)
            tasks = site.airflow.task_states(dag, run_id)
            # A check that finds a difference is skipped.
            if state != "success" or (dag == CHECK and tasks["check"] != "success"):
                problems.append(f"The last run of {dag}, {state}: {failures(site, dag, run_id) or tasks}")
    return problems


def failures(site: Site, dag: str, run_id: str) -> str:
    """Return the last error that each failed task of a run logged."""
    failed = [task for task, state in site.airflow.task_states(dag, run_id).items() if state == "failed"]
    logs = {task: site.airflow.log_of(dag, run_id, task).splitlines() for task in failed}
    return "; ".join(f"{task}: {[line for line in log if line.startswith('error')][-1:]}" for task, log in logs.items())


def rest(site: Site, figures: Figures | None = None) -> dict[tuple[str, str], float]:
    """Wait until nothing is in the air, and measure; with figures, only until nothing is above the start."""
    until = time.monotonic() + (_FIRST_REST_SECONDS if figures is None else _LONGEST_REST_SECONDS)
    while True:
        time.sleep(_SAMPLE_SECONDS)
        sample = take_sample(site, at_rest=True)
        if figures is not None:
            figures.end = sample
        if time.monotonic() > until or (figures is not None and not figures.growth()):
            return sample


def show(figures: Figures, states: Counter[tuple[str, str]], disturbances: Counter[str], changes: int) -> None:
    """Print what was done, and the table of figures."""
    ways = Counter(state for _, state in states.elements())
    print(f"Runs of DAGs: {dict(ways)}; changes of the sources: {changes}; samples: {len(figures.working)}")
    print(f"Disturbances: {dict(sorted(disturbances.items()))}")
    table = Table("of", "measure", "start", "median", "highest", "end")
    for row in figures.rows():
        table.add_row(*row)
    Console(width=110).print(table)


if __name__ == "__main__":
    sys.exit(main())
