"""Directories in object storage, unchanged, beside the listing alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.benchmarks.cost import Cost, medians
from tests.benchmarks.object_store import BUCKET, KEYS, REGION, CountingStore, counting_store
from tests.benchmarks.result import Line, Section, compared, limited
from tests.benchmarks.tree_pair import tree_pair
from tests.database_servers import DatabaseServers

_TARGET = 1.3
_OBJECT_BYTES = 64

_LIST = """
import json, sys, time
import boto3
options = json.loads(sys.argv[1])
client = boto3.client("s3", **options["client"])
started = time.perf_counter()
count = sum(len(page.get("Contents", ())) for page in client.get_paginator("list_objects_v2").paginate(**options["list"]))
print(json.dumps([count, time.perf_counter() - started]))
"""


def unchanged_objects(servers: DatabaseServers, folder: Path, scale: float, rounds: int) -> Section:
    """Compare 100,000 objects that are the source, then as many that are the target, with equal files on the disk."""
    count = int(100_000 * scale)
    on_disk = str(folder / "files")
    lines: list[Line] = []
    with counting_store() as store:
        store.fill("source", count, _OBJECT_BYTES)
        in_store = {side: f"s3://store@{BUCKET}/{side}" for side in ("source", "target")}
        for side, ends in {"source": (in_store["source"], on_disk), "target": (on_disk, in_store["target"])}.items():
            with tree_pair(folder / side, *ends, store.environment) as pair:
                # This copies all of them; afterwards both sides know what they have.
                pair.sync()
                listed, costs, read = list[float](), list[Cost](), 0
                for _ in range(rounds):
                    listed.append(_list(store, side, count))
                    store.requests.clear()
                    costs.append(pair.sync("unchanged"))
                    read = max(read, store.requests["GET"] + store.requests["HEAD"])
                lines += _lines(side, costs, listed, read)
    return Section(f"{count:,} files in object storage (moto), unchanged, median of {rounds}", lines)


def _lines(side: str, costs: list[Cost], listed: list[float], read: int) -> Iterator[Line]:
    cost = medians(costs)
    yield compared(f"the {side} is in S3", cost.seconds, "listing the bucket", median(listed), _TARGET, cost.note())
    yield limited(f"the {side} is in S3: requests for objects", read, "requests", 0)


def _list(store: CountingStore, prefix: str, count: int) -> float:
    """Return the seconds of listing in another process, without its start.

    :raises RuntimeError: when there are not as many objects as there should be
    """
    login = {"aws_access_key_id": KEYS["login"], "aws_secret_access_key": KEYS["password"], "region_name": REGION}
    options = {"client": {"endpoint_url": store.url, **login}, "list": {"Bucket": BUCKET, "Prefix": f"{prefix}/"}}
    command = [sys.executable, "-c", _LIST, json.dumps(options)]
    found, seconds = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if found != count:
        raise RuntimeError(f"There are {found} objects below {prefix!r} instead of {count}.")
    return float(seconds)
