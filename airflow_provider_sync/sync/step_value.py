"""The JSON values that one step of a sync passes to the next, which may be a task on another machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec

from airflow_provider_sync.exceptions import ConfigurationError


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt of a comparison step that divided the work into pieces.

    :ivar task: id of the comparison's task, since the last step may receive pieces of several comparisons
    :ivar attempt: number of the attempt
    :ivar pieces: number of pieces of this attempt; 0 if unknown
    """

    task: str = ""
    attempt: int = 0
    pieces: int = 0


class StepValue(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a step and its costs. It refers to rows and files but never contains them.

    :ivar comparison: the comparison that made this piece of work
    :ivar options: digests of the options that all steps must share, by name; see :mod:`.shared_options`
    """

    comparison: Comparison = Comparison()
    options: dict[str, str] = {}
    requests: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    seconds: float = 0.0

    @property
    def summary(self) -> str:
        """A sentence for the log about the result of the step."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return the value as a mapping of JSON values."""
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read a mapping that :meth:`to_dict` returned.

        :raises ConfigurationError: if it is anything else
        """
        try:
            return msgspec.convert(dict(plain), cls)
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"This is not what the step before returns: {error}. Pass its output on as it is."
            ) from error

    @classmethod
    def read_all(cls, results: Sequence[Mapping[str, Any]]) -> list[Self]:
        """Read the results of all tasks of the previous step.

        If a comparison is repeated and makes fewer pieces, Airflow keeps the results of the surplus tasks. Those are left out.

        :raises ConfigurationError: if results are missing, because a task failed or was marked as successful by hand
        """
        found = [cls.from_dict(plain) for plain in results]
        latest: dict[str, int] = {}
        for comparison in (piece.comparison for piece in found):
            latest[comparison.task] = max(comparison.attempt, latest.get(comparison.task, 0))
        current = [piece for piece in found if piece.comparison.attempt == latest[piece.comparison.task]]
        expected = sum({piece.comparison.task: piece.comparison.pieces for piece in current}.values())
        if expected and len(current) != expected:
            raise ConfigurationError(
                f"Only {len(current)} of {expected} downloads have returned something, so that nothing was written or deleted."
                " Run those that did not succeed again, and then this step, which needs the trigger rule 'all_success'."
            )
        return current

    def traffic(self) -> dict[str, Any]:
        """Return the step's time and traffic, as fields of a report."""
        return {name: getattr(self, name) for name in ("requests", "bytes_received", "bytes_sent", "seconds")}
