"""Build the wheel and the source archive: the same bytes from the same commit, wherever and whenever they are built."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from publish.project import DIST, ROOT


def build_archives(folder: Path, *, source: Path = ROOT) -> tuple[Path, Path]:
    """Build both, with the build tools that are installed, and return the paths of the wheel and of the source archive.

    Files inside have the time of ``SOURCE_DATE_EPOCH``, or hatchling's constant.

    :param folder: where to put them; it may have others
    """
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="airflow-sync-build-") as built:
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", built, str(source)]
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if ended.returncode:
            sys.exit(f"{ended.stdout}The archives cannot be built.")
        (wheel,), (sdist,) = Path(built).glob("*.whl"), Path(built).glob("*.tar.gz")
        return Path(shutil.copy(wheel, folder)), Path(shutil.copy(sdist, folder))


if __name__ == "__main__":
    for path in build_archives(DIST):
        print(path.relative_to(ROOT))
