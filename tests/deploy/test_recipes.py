"""The recipes that cannot be run here are at least what their programs can read."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from airflow_provider_sync.cli.main import build_parser
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.provider_info import get_provider_info
from tests.deploy.proxies import RECIPES, replaced


def unit(folder: Path) -> Path:
    """Write the unit with a program that is there."""
    path = folder / "airflow-sync.service"
    path.write_text(replaced((RECIPES / path.name).read_text(), {"/opt/airflow-sync/bin/airflow-sync": sys.executable}))
    return path


@pytest.fixture
def systemd_analyze() -> str:
    """Find the program, which is not on every machine."""
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("no systemd-analyze (Debian: systemd)")
    return found


def test_the_unit(systemd_analyze: str, tmp_path: Path) -> None:
    """Systemd finds no error in the unit."""
    checked = subprocess.run([systemd_analyze, "verify", unit(tmp_path)], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_unit_is_hardened(systemd_analyze: str, tmp_path: Path) -> None:
    """The unit's exposure is at most that of the documentation."""
    documented = re.search(r"exposure of \*\*(\d)\.(\d) ", (RECIPES / "systemd.md").read_text())
    assert documented is not None
    command = [systemd_analyze, "security", "--no-pager", "--offline=true", f"--threshold={''.join(documented.groups())}"]
    checked = subprocess.run([*command, unit(tmp_path)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout[-100:]


def test_the_unit_lets_it_write_its_logs() -> None:
    """The guide's files for ``log`` and ``audit_log`` are in a folder that the unit may write to."""
    guide = (RECIPES.parent / "operate.md").read_text()
    files = {Path(found) for found in re.findall(r"/var/log/[\w./-]+", guide)}
    assert {file.parent for file in files} == {Path("/var/log/airflow-sync")}
    assert "\nLogsDirectory=airflow-sync\n" in (RECIPES / "airflow-sync.service").read_text()


def test_the_unit_runs_one_file() -> None:
    """``airflow-sync.pyz`` is unpacked into a permanent folder, and its first start has enough time."""
    settings = dict(line.split("=", 1) for line in (RECIPES / "airflow-sync.service").read_text().splitlines() if "=" in line)
    variables = dict(assignment.split("=", 1) for assignment in settings["Environment"].split())
    assert settings["CacheDirectory"] == "airflow-sync"
    assert Path(variables["PEX_ROOT"]).is_relative_to("/var/cache/airflow-sync")
    assert settings["TimeoutStartSec"] == "5min"


MANIFESTS = list(yaml.safe_load_all((RECIPES / "kubernetes.yaml").read_text()))


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["kind"])
@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_manifests(manifest: dict[str, Any], version: str) -> None:
    """Each manifest fits the schema of its kind, and has no field that the schema does not have."""
    kubernetes_validate.validate(manifest, version, strict=True)


def test_manifests_fit_together() -> None:
    """Everything that the manifests refer to exists, and the container sets every variable of its configuration."""
    found = {manifest["kind"]: manifest for manifest in MANIFESTS}
    pod = found["Deployment"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    labels = pod["metadata"]["labels"].items()
    for selector in (
        found["Deployment"]["spec"]["selector"]["matchLabels"],
        found["Service"]["spec"]["selector"],
        found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["spec"]["volumes"]}
    assert {manifest["metadata"]["name"] for manifest in MANIFESTS} == {"airflow-sync"}
    used = set(re.findall(r"\$\{(\w+)\}", found["ConfigMap"]["data"]["server.yaml"]))
    assert used == found["Secret"]["stringData"].keys()
    build_parser().parse_args(container["args"])


def configurations() -> dict[str, str]:
    """Return the text of each server.yaml in a recipe."""
    values = yaml.safe_load((RECIPES / "airflow-values.yaml").read_text())
    (mounted,) = values["extraConfigMaps"].values()
    return {
        "kubernetes": next(manifest["data"]["server.yaml"] for manifest in MANIFESTS if manifest["kind"] == "ConfigMap"),
        "airflow": yaml.safe_load(mounted["data"])["server.yaml"],
    }


@pytest.mark.parametrize("recipe", ["kubernetes", "airflow"])
def test_configurations(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each server.yaml of a recipe is valid, and contains no secret."""
    monkeypatch.setenv("SYNC_TOKEN_SHA256", "a" * 64)
    monkeypatch.setenv("DB_PASSWORD", "secret")
    path = tmp_path / "server.yaml"
    path.write_text(configurations()[recipe])
    (token,) = ServerConfig.from_yaml(path).tokens
    assert token.token is None


def test_values_of_airflow() -> None:
    """The values for Airflow set existing options, and mount the files that they name."""
    values = yaml.safe_load((RECIPES / "airflow-values.yaml").read_text())
    options = get_provider_info()["config"]["sync"]["options"]
    assert values["config"]["sync"].keys() <= options.keys()
    names = {secret["envName"] for secret in values["secret"]}
    assert {name.removeprefix("AIRFLOW__SYNC__").lower() for name in names if name.startswith("AIRFLOW__")} <= options.keys()
    (mount,), (volume,) = values["apiServer"]["extraVolumeMounts"], values["apiServer"]["extraVolumes"]
    assert mount["name"] == volume["name"]
    assert volume["configMap"]["name"] in values["extraConfigMaps"]
    assert values["config"]["sync"]["server_config"] == f"{mount['mountPath']}/server.yaml"


@pytest.mark.parametrize("name", ["kubernetes.yaml", "airflow-values.yaml"])
def test_what_was_not_run_says_so(name: str) -> None:
    """A recipe that was never run says so in its first lines."""
    assert re.search("not run", "".join((RECIPES / name).read_text().splitlines()[:4]), re.IGNORECASE)
