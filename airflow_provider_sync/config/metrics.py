"""``metrics`` of ``server.yaml``: who may read the server's metrics."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from airflow_provider_sync.config.options import Options, wrong_reference
from airflow_provider_sync.config.tokens import not_empty, sha256_digest, token_digest


class MetricsOptions(Options, frozen=True):
    """``metrics`` of ``server.yaml``: who may read the server's metrics."""

    token: Annotated[str, AfterValidator(not_empty)] | None = Field(
        default=None,
        repr=False,
        description="A bearer token for `GET /metrics` and nothing else. Without one, only this machine may read metrics.",
    )
    token_sha256: Annotated[str, AfterValidator(sha256_digest)] | None = Field(
        default=None, description="The SHA-256 of that token, as 64 hex digits, in its place."
    )

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if self.token is not None and self.token_sha256 is not None:
            raise wrong_reference("metrics has both token and token_sha256. Leave one of them out.")
        return self

    @property
    def digest(self) -> str | None:
        """The SHA-256 of the token, as 64 hex digits; ``None`` without one."""
        return token_digest(self.token) if self.token is not None else self.token_sha256
