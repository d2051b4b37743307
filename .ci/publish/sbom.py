"""Write `dist/airflow-sync.cdx.json`: what is in `airflow-sync.pyz`, as a CycloneDX bill of materials."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from airflow_provider_sync import __version__
from publish.project import DIST, ROOT
from publish.pyz import PYZ

SBOM = DIST / "airflow-sync.cdx.json"


def write_sbom(pyz: Path, target: Path) -> None:
    """Unpack the file as its first start does, and list what is there; the same file always gives the same list."""
    with tempfile.TemporaryDirectory(prefix="airflow-sync-sbom-") as folder:
        environment = {"PATH": os.defpath, "HOME": folder, "PEX_ROOT": folder, "PEX_INTERPRETER": "1"}
        where = [sys.executable, str(pyz), "-c", "import sys; print(sys.executable)"]
        unpacked = subprocess.run(where, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        options = ["--output-reproducible", "--pyproject", str(ROOT / "pyproject.toml"), "--output-file", str(target)]
        subprocess.run([Path(sys.executable).with_name("cyclonedx-py"), "environment", *options, unpacked], check=True)
    # The version is not in pyproject.toml, from which the tool takes the main component.
    listed = json.loads(target.read_text(encoding="utf-8"))
    listed["metadata"]["component"]["version"] = __version__
    target.write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_sbom(PYZ, SBOM)
    print(SBOM.relative_to(ROOT))
