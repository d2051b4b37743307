"""What one step of a sync hands to the next, which may be a task on another machine: JSON values, and what the step cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec

from airflow_provider_sync.exceptions import ConfigurationError


class StepValue(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a step, and what it cost. It refers to rows and files and never contains them."""

    requests: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    seconds: float = 0.0

    @property
    def summary(self) -> str:
        """What the step found or did, in a sentence for the log."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return the value as a mapping of JSON values."""
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` returned.

        :raises ConfigurationError: for anything else
        """
        try:
            return msgspec.convert(dict(plain), cls)
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"This is not what the step before returns: {error}. Pass its output on as it is."
            ) from error

    def traffic(self) -> dict[str, Any]:
        """Return what the step cost, as fields of a report."""
        return {name: getattr(self, name) for name in ("requests", "bytes_received", "bytes_sent", "seconds")}
