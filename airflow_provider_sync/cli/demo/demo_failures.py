"""The demo's message when Airflow fails: three lines with the cause, the installed releases, and what to do."""

from __future__ import annotations

import re
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from airflow_provider_sync.exceptions import SyncError

#: Longest cause that is shown, in characters.
MAX_CAUSE = 200

#: Libraries whose releases Airflow's constraints pin, and with which an Airflow that was installed without them most often fails.
LIBRARIES = ("fastapi", "pydantic", "sqlalchemy", "structlog")

#: How an exception is written at the end of a traceback, or in a line of Airflow's log.
_EXCEPTION = re.compile(r"\b(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit)\b(?::\s.*)?")
_CONSEQUENCE = re.compile(r"[\w.]*\bAirflow\w*")

_CONSTRAINTS = "https://airflow.apache.org/docs/apache-airflow/stable/installation/installing-from-pypi.html"


class DemoFailed(SyncError):
    """Airflow failed in the demo.

    :param what: the command that failed, such as ``'airflow db migrate'``
    :param log: what Airflow wrote
    """

    def __init__(self, what: str, log: Path) -> None:
        self.what = what
        self.log = log
        super().__init__(f"The demo failed in {what}: {cause_of(log)}")

    def lines(self) -> list[str]:
        """Return the three lines that a user reads; the log named in them outlives the demo's folder."""
        return [
            str(self),
            f"It ran with {', '.join(_installed())}. Libraries newer than those of Airflow's constraints may not fit it.",
            f"Install it into an empty environment with Airflow's constraints ({_CONSTRAINTS}). The whole log: {_kept(self.log)}",
        ]


def cause_of(log: Path) -> str:
    """Return the last exception that a log names, in one line of at most :data:`MAX_CAUSE` characters.

    Airflow's own exceptions mostly follow from another one. Without an exception, return the last line that is not empty.
    """
    said = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    found = [match.group() for line in said if (match := _EXCEPTION.search(line))]
    first = [cause for cause in found if not _CONSEQUENCE.match(cause)]
    cause = (first or found or said or ["it ended without a word"])[-1]
    return cause if len(cause) <= MAX_CAUSE else cause[: MAX_CAUSE - 1] + "…"


def _installed() -> list[str]:
    """Return the releases of Airflow and of the libraries that most often break it."""
    found = []
    for name in ("apache-airflow-core", *LIBRARIES):
        try:
            found.append(f"{name.replace('apache-airflow-core', 'Airflow')} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return found


def _kept(log: Path) -> Path:
    """Copy a log out of the demo's temporary folder and return where it is."""
    with tempfile.NamedTemporaryFile(prefix="airflow-sync-demo-", suffix=".log", delete=False) as kept, log.open("rb") as written:
        shutil.copyfileobj(written, kept)
    return Path(kept.name)
