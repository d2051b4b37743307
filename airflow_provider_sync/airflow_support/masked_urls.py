"""Hide the passwords of URLs that somebody gave in place of the id of a connection, also where Airflow shows rendered fields."""

from __future__ import annotations

import re
from urllib.parse import unquote

# From Airflow 3.1 on it is here; only the latest common-compat offers it on the common import path.
from airflow.sdk.log import mask_secret  # noqa: TID251  # see above

_CREDENTIALS = re.compile(r"://[^/\s:@]*:([^/\s]+)@")


def mask_password(text: str) -> None:
    """Have Airflow mask the password of a URL from now on, as the URL has it and as it is; other text is left alone."""
    for password in _CREDENTIALS.findall(text):
        mask_secret(password)
        mask_secret(unquote(password))
