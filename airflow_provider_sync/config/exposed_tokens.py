"""Whether other users of the machine can read the tokens of a configuration file."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_provider_sync.config.options import VARIABLE
from airflow_provider_sync.config.yaml_file import load_yaml, read_text


def exposed_tokens(path: str | Path) -> str | None:
    """Say that every user of the machine can read tokens that a ``server.yaml`` holds as text; ``None`` if that is not so.

    :raises ConfigurationError: when the file cannot be read, or is not YAML
    """
    settings = load_yaml(read_text(path), path)
    if not holds_tokens(settings) or not Path(path).stat().st_mode & stat.S_IROTH:
        return None
    return (
        f"Every user of this machine can read {path}, which holds tokens. Write token_sha256 in their place, or protect the file:"
        f" chmod o= {path}"
    )


def holds_tokens(settings: Mapping[str, Any]) -> bool:
    """Whether a configuration, before its variables are replaced, has a token as text rather than as a variable or a SHA-256."""
    tokens = settings.get("tokens")
    entries = tokens if isinstance(tokens, list) else []
    texts = [entry.get("token") if isinstance(entry, dict) else entry for entry in entries]
    return any(isinstance(text, str) and not re.search(VARIABLE, text) for text in texts)
