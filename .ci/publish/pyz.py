"""Build `dist/airflow-sync.pyz`: the core, its drivers and all that they need, in one file that any supported Python runs.

pex makes it. The file holds the wheels of every supported Python for one kind of processor. The first start unpacks those that
fit into a virtual environment below ``PEX_ROOT``, ``~/.cache/pex`` by default; later starts go straight there. What was compared
with it is in docs/explanation/decisions/program.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging import tags

from publish.archives import build_archives
from publish.core_requirements import CORE_REQUIREMENTS
from publish.project import DIST, PYTHONS, ROOT, read_requirements
from publish.start_time import measure_starts

PYZ = DIST / "airflow-sync.pyz"
# Below the oldest glibc that a supported release of a distribution has: 2.28, of RHEL 8 and Debian 10.
_GLIBC = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_26", "manylinux_2_24", "manylinux_2_17", "manylinux2014")
_NOTICE = Path(__file__).with_name("unpacking_notice.py")
_WHEELS = ROOT / ".cache" / "wheels"
"""What was downloaded before is not downloaded again."""


def build(target: Path, *, machine: str) -> None:
    """Build the file.

    :param machine: kind of processor, as ``uname -m`` says it: ``x86_64``, ``aarch64``
    """
    with tempfile.TemporaryDirectory(prefix="airflow-sync-pyz-") as name:
        folder = Path(name)
        wheel, _ = build_archives(folder)
        wheels, platforms = [str(wheel)], []
        for version in PYTHONS:
            platforms.append(_describe_platform(version, machine, folder))
            wheels += map(str, _download(version, machine))
        command = [
            Path(sys.executable).with_name("pex"),
            "--venv",
            "--console-script",
            "airflow-sync",
            "--python-shebang",
            "/usr/bin/env python3",
            "--preamble-file",
            _NOTICE,
        ]
        command += [argument for path in platforms for argument in ("--complete-platform", path)]
        # Of the package's requirements, Airflow's are left out. All others are in the list.
        for excluded in ("apache-airflow", "apache-airflow-providers-common-compat", "apache-airflow-providers-common-sql"):
            command += ["--exclude", excluded]
        dists = [argument for path in dict.fromkeys(wheels) for argument in ("--pre-resolved-dist", path)]
        target.parent.mkdir(exist_ok=True)
        _run(*command, *dists, "--output-file", target, "airflow-provider-sync", *_listed_names())


def _run(*command: str | Path) -> None:
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True)


def _listed_names() -> list[str]:
    """Return what the file has to hold; where Python has it built in, the marker says so."""
    return [f"{entry.name}; {entry.marker}" if entry.marker else entry.name for entry in read_requirements(CORE_REQUIREMENTS)]


def _environment(version: str, machine: str) -> dict[str, str]:
    """Return the environment by which markers are evaluated, for a Python on Linux."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{version}.0",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{version}.0",
        "python_version": version,
        "sys_platform": "linux",
    }


def _describe_platform(version: str, machine: str, folder: Path) -> Path:
    """Write which wheels fit a Python, for pex, which otherwise asks an interpreter that need not be here."""
    numbers = tuple(map(int, version.split(".")))
    platforms = [f"{glibc}_{machine}" for glibc in _GLIBC]
    cpython = tags.cpython_tags(numbers, platforms=platforms)
    python = tags.compatible_tags(numbers, interpreter=f"cp{''.join(version.split('.'))}", platforms=platforms)
    described = {"marker_environment": _environment(version, machine), "compatible_tags": [*map(str, cpython), *map(str, python)]}
    path = folder / f"python-{version}.json"
    path.write_text(json.dumps(described), encoding="utf-8")
    return path


def _download(version: str, machine: str) -> list[Path]:
    """Download the wheels that fit a Python, except those that are there already, and return them all."""
    environment = _environment(version, machine)
    pins = [
        f"{entry.name}{entry.specifier}"
        for entry in read_requirements(CORE_REQUIREMENTS)
        if not entry.marker or entry.marker.evaluate(environment)
    ]
    folder = _WHEELS / f"{machine}-{version}"
    options = ["-qq", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--python-version", version]
    options += [argument for glibc in _GLIBC for argument in ("--platform", f"{glibc}_{machine}")]
    folder.mkdir(parents=True, exist_ok=True)
    # pip would ask the index about each of them again, which takes seconds.
    if missing := [pin for pin in pins if not _wheels(folder, pin)]:
        _run(sys.executable, "-m", "pip", "download", *options, "--dest", folder, *missing)
    return sorted(wheel for pin in pins for wheel in _wheels(folder, pin))


def _wheels(folder: Path, pin: str) -> list[Path]:
    """Return the wheels of a pinned version: what other lists named may be there, too."""
    name, _, version = pin.replace("-", "_").lower().partition("==")
    return [path for path in folder.glob("*.whl") if path.name.lower().split("-")[:2] == [name, version]]


def main() -> None:
    """Build the file; print its size and, where it fits this machine, how long a server takes to start from it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machine", default=platform.machine(), help="kind of processor, as `uname -m` says it")
    machine = parser.parse_args().machine
    build(PYZ, machine=machine)
    print(f"{PYZ.relative_to(ROOT)}: {PYZ.stat().st_size / 1e6:.0f} MB, for Python {', '.join(PYTHONS)} on Linux, {machine}")
    if machine == platform.machine():
        first, second = measure_starts(PYZ)
        print(
            f"A server answers {first:.1f} s after its first start, which unpacks the file, and {second:.1f} s after the second."
        )


if __name__ == "__main__":
    main()
