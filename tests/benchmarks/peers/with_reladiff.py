"""The comparison of two tables by reladiff, run as a program so that its imports are not counted."""

from __future__ import annotations

import sys
import time

import reladiff


def main(source: str, target: str, table: str, key: str, *columns: str) -> None:
    """Compare one table of two databases; print the seconds, and how many differences were found."""
    started = time.perf_counter()
    both = [reladiff.connect_to_table(url, table, key, extra_columns=columns, thread_count=2) for url in (source, target)]
    differences = sum(1 for _ in reladiff.diff_tables(*both, algorithm=reladiff.Algorithm.HASHDIFF))
    print(time.perf_counter() - started, differences)


if __name__ == "__main__":
    main(*sys.argv[1:])
