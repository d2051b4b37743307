"""What a user gets from the package index."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from configparser import ConfigParser
from email import message_from_string
from pathlib import Path

import pytest

import airflow_provider_sync
from airflow_provider_sync.provider_info import get_provider_info

PROJECT = Path(__file__).parent.parent


def _run(*arguments: str | Path, folder: Path) -> str:
    result = subprocess.run([sys.executable, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel once, with the build tools that are installed."""
    folder = tmp_path_factory.mktemp("wheel")
    _run("-m", "build", "--wheel", "--no-isolation", "--outdir", folder, PROJECT, folder=folder)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """The wheel has every module, template, style and the typing marker, but no test, example or tool."""
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = PROJECT / "airflow_provider_sync"
    files = [path for kind in ("*.py", "*.html", "*.css", "*.js") for path in package.rglob(kind)]
    expected = {str(path.relative_to(PROJECT)) for path in files} | {"airflow_provider_sync/py.typed"}
    assert expected <= inside
    assert {name.partition("/")[0] for name in inside} == {"airflow_provider_sync"}


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    """Name, version, licence, classifiers and entry points are as Airflow and the index require."""
    with zipfile.ZipFile(wheel) as archive:
        info = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA")).removesuffix("METADATA")
        metadata = message_from_string(archive.read(f"{info}METADATA").decode())
        entry_points = ConfigParser()
        entry_points.read_string(archive.read(f"{info}entry_points.txt").decode())
        assert f"{info}licenses/LICENSE" in archive.namelist()
    assert metadata["Name"] == get_provider_info()["package-name"]
    assert metadata["Version"] == airflow_provider_sync.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert {"Framework :: Apache Airflow", "Framework :: Apache Airflow :: Provider"} <= set(metadata.get_all("Classifier", []))
    assert dict(entry_points["apache_airflow_provider"]) == {
        "provider_info": "airflow_provider_sync.provider_info:get_provider_info"
    }
    assert dict(entry_points["airflow.plugins"]) == {"sync": "airflow_provider_sync.plugin.sync_plugin:SyncPlugin"}
    assert dict(entry_points["console_scripts"]) == {"airflow-sync": "airflow_provider_sync.cli.program:main"}


def test_the_wheel_works_from_an_empty_directory(wheel: Path, tmp_path: Path) -> None:
    """The command of an unpacked wheel runs without the project's folder."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    empty = tmp_path / "empty"
    empty.mkdir()
    here = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
    where = _run("-I", "-c", here + "import airflow_provider_sync\nprint(airflow_provider_sync.__file__)", folder=empty)
    assert where.startswith(str(tmp_path / "site"))
    command = "from airflow_provider_sync.cli.main import main\nsys.argv = ['airflow-sync', '--help']\nsys.exit(main())"
    assert "serve" in _run("-I", "-c", here + command, folder=empty)
