"""Whether other users of the machine can read the secrets of a configuration file."""

from __future__ import annotations

import stat
from pathlib import Path

from airflow_provider_sync.config.secret_options import secrets_in
from airflow_provider_sync.config.yaml_file import load_yaml, read_text


def exposed_secrets(path: str | Path) -> str | None:
    """Return a warning if every user of the machine can read secrets in a file; ``None`` if not.

    :raises ConfigurationError: when the file cannot be read, or is not YAML
    """
    # Before variables are replaced.
    if not any(secrets_in(load_yaml(read_text(path), path))) or not Path(path).stat().st_mode & stat.S_IROTH:
        return None
    return (
        f"Every user of this machine can read {path}, which holds secrets. Write ${{NAME}} in their place, or a token's SHA-256,"
        f" or protect the file: chmod o= {path}"
    )
