"""Say on a terminal that the first start of `airflow-sync.pyz` unpacks the file, which takes seconds.

pex runs this text before its own, at each start. Whether the file is unpacked is asked only on a terminal.
"""


def _announce_unpacking() -> None:
    import os
    import sys

    # pex starts the file again, from where it was unpacked with its own variable, and before that if there is a PYTHONPATH.
    is_again = "__PEX_EXE__" in os.environ or os.environ.pop("_SYNC_UNPACKING", None)
    if is_again or sys.stderr is None or not sys.stderr.isatty():
        return
    import json
    from pathlib import Path

    description = json.loads(__loader__.get_data("PEX-INFO"))  # type: ignore[name-defined]  # of the archive
    root = Path(os.environ.get("PEX_ROOT") or "~/.cache/pex").expanduser()
    if not any(root.glob(f"unzipped_pexes/*/{description['pex_hash']}")):
        print(f"Unpacking airflow-sync below {root}, once. This takes some seconds.", file=sys.stderr, flush=True)
        os.environ["_SYNC_UNPACKING"] = "1"


_announce_unpacking()
del _announce_unpacking
