"""Run the fault suite, and count: ``make faults``, or ``python -m tests.faults.run 'kill-*' --share 0.1``.

Every try is told by its kind and its number, from which all that is random in it comes.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tests.database_servers import DatabaseServers, ServerMissing
from tests.faults.kinds import Kind, Unavailable, all_kinds

PROJECT = Path(__file__).parents[2]
DONE, LOST, USAGE = 0, 1, 2


class Count(msgspec.Struct, kw_only=True):
    """What came of the tries of one kind.

    :ivar outcomes: how often the target was found in which state after the fault
    :ivar violations: of promises, by number of the try
    :ivar skipped: why there was no try
    """

    kind: str
    tells: str
    outcomes: dict[str, int] = {}
    violations: dict[int, str] = {}
    skipped: str | None = None
    seconds: float = 0.0

    @property
    def tries(self) -> int:
        """How many there were."""
        return sum(self.outcomes.values()) + len(self.violations)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen kinds, print the counts, and return the exit code: 1 when a promise did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("patterns", nargs="*", default=["*"], help="kinds, as 'kill-*' (default: all)")
    parser.add_argument("--share", type=float, default=1.0, help="share of each kind's tries, at least one of each")
    parser.add_argument("--first", type=int, default=0, help="number of the first try")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--json", metavar="FILE", help="write the counts to a file, too")
    parser.add_argument("--slice", help=argparse.SUPPRESS)
    parser.add_argument("--list", action="store_true", help="name the kinds and end")
    options = parser.parse_args(arguments)
    kinds = [kind for kind in all_kinds() if any(fnmatch(kind.name, pattern) for pattern in options.patterns)]
    if not kinds:
        parser.error(f"no kind is called {', '.join(options.patterns)}; see --list")
    if options.list:
        for kind in kinds:
            print(f"{kind.name:30} {kind.tries:4} {kind.tells}")
        return DONE
    if options.slice:
        place, of = map(int, options.slice.split("/"))
        for count in run_kinds(kinds[place::of], options.share, options.first):
            print(msgspec.json.encode(count).decode(), flush=True)
        return DONE
    began = time.monotonic()
    counts = _run_in_processes(options)
    _show(counts, time.monotonic() - began)
    if options.json:
        Path(options.json).write_bytes(msgspec.json.encode(counts))
    return LOST if any(count.violations for count in counts) else DONE


def run_kinds(kinds: Sequence[Kind], share: float, first: int = 0) -> Iterator[Count]:
    """Try each kind, and yield what came of it.

    :param share: of the tries of the whole suite
    :param first: number of the first try
    """
    servers = DatabaseServers()
    try:
        for kind in kinds:
            yield _run_kind(servers, kind, range(first, first + max(1, round(kind.tries * share))))
    finally:
        servers.stop()


def _run_kind(servers: DatabaseServers, kind: Kind, numbers: range) -> Count:
    outcomes: Counter[str] = Counter()
    count = Count(kind=kind.name, tells=kind.tells)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sync-faults-") as folder:
        try:
            with kind.prepared(servers, Path(folder)) as trial:
                for number in numbers:
                    try:
                        outcomes[trial(random.Random(f"{kind.name}:{number}"))] += 1
                    except Exception as error:  # noqa: BLE001  # whatever goes wrong in a try is a finding, and the others follow
                        count.violations[number] = f"{type(error).__name__}: {error}"[:500]
        except (ServerMissing, Unavailable) as missing:
            count.skipped = str(missing)
    count.outcomes = dict(sorted(outcomes.items()))
    count.seconds = time.monotonic() - began
    return count


def _run_in_processes(options: argparse.Namespace) -> list[Count]:
    """Share the kinds out to processes; trials fork, so that threads will not do."""

    def run_slice(place: int) -> list[Count]:
        command = [sys.executable, "-m", "tests.faults.run", *options.patterns]
        command += ["--share", str(options.share), "--first", str(options.first), "--slice", f"{place}/{options.jobs}"]
        counts = []
        # What trials log is theirs: broken connections, servers that stop. Its end tells why the suite itself broke off.
        with (
            tempfile.TemporaryFile("w+") as logged,
            subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=logged) as process,
        ):
            for line in process.stdout or ():
                counts.append(msgspec.json.decode(line, type=Count))
                _tell(counts[-1])
            if process.wait():
                logged.seek(0)
                raise RuntimeError(f"slice {place} of the fault suite ended with {process.returncode}: {logged.read()[-2000:]}")
        return counts

    with ThreadPoolExecutor(options.jobs) as pool:
        return [count for counts in pool.map(run_slice, range(options.jobs)) for count in counts]


def _tell(count: Count) -> None:
    found = count.skipped or ", ".join(f"{number} {state}" for state, number in count.outcomes.items())
    print(f"{count.kind:30} {count.tries:5} tries in {count.seconds:6.1f} s: {found}", flush=True)
    for number, violation in count.violations.items():
        print(
            f"  LOST: {violation}\n  again: python -m tests.faults.run {count.kind} --first {number} --share 0 --jobs 1",
            flush=True,
        )


def _show(counts: Sequence[Count], seconds: float) -> None:
    groups: dict[str, list[Count]] = {}
    for count in counts:
        groups.setdefault(count.tells.rpartition(" (")[0] or count.tells, []).append(count)
    table = Table("what happens", "kinds", "tries", "found", "promises broken", title=f"Faults, {seconds / 60:.1f} minutes")
    total: Counter[str] = Counter()
    for tells, group in sorted(groups.items()):
        states: Counter[str] = sum((Counter(count.outcomes) for count in group), Counter())
        tries, broken = sum(count.tries for count in group), sum(len(count.violations) for count in group)
        total.update(tries=tries, broken=broken, kinds=len(group))
        found = ", ".join(f"{number:,} {state}" for state, number in states.most_common())
        table.add_row(tells, str(len(group)), f"{tries:,}", found, str(broken))
    table.add_row("all", str(total["kinds"]), f"{total['tries']:,}", "", str(total["broken"]), style="bold")
    Console(width=130).print(table)
    for count in counts:
        if count.skipped:
            print(f"Not tried: {count.kind}: {count.skipped}")
    # The closing line that is counted by whoever reads it.
    print(f"{total['tries'] - total['broken']} passed, {total['broken']} failed")


if __name__ == "__main__":
    sys.exit(main())
