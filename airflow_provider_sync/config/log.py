"""``log`` of ``server.yaml``: what the server logs, and where to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airflow_provider_sync.config.options import WHOLE_NUMBER, NotNegativeWhole, Options
from airflow_provider_sync.logs.files import DEFAULT_BACKUPS, DEFAULT_MAX_BYTES


class LogOptions(Options, frozen=True):
    """``log`` of ``server.yaml``: what the server logs, and where to."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level that is logged: `debug`, `info`, `warning` or `error`. Requests are `info`."
    )
    format: Literal["text", "json"] = Field(default="text", description="`text`, or `json` for one JSON object on each line.")
    file: str | None = Field(default=None, description="File to append to. Otherwise standard error.")
    max_bytes: NotNegativeWhole = Field(
        default=DEFAULT_MAX_BYTES, description="Bytes above which `file` is renamed and a new one begun; 0 for never."
    )
    backups: Annotated[int, Field(ge=0, le=1_000), WHOLE_NUMBER] = Field(
        default=DEFAULT_BACKUPS, description="How many renamed files are kept."
    )
    access: bool = Field(default=True, description="Whether there is a line for each request.")
