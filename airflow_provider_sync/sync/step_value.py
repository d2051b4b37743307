"""What one step of a sync hands to the next, which may be a task on another machine: JSON values, and what the step cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec

from airflow_provider_sync.exceptions import ConfigurationError


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt of a first step that has cut the work into pieces.

    :ivar task: tells it from other comparisons of the run, whose pieces the same last step may take
    :ivar attempt: the number of the attempt
    :ivar pieces: how many pieces it has cut; 0 where that is not known
    """

    task: str = ""
    attempt: int = 0
    pieces: int = 0


class StepValue(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a step, and what it cost. It refers to rows and files and never contains them.

    :ivar comparison: what has cut the piece of work that this is
    :ivar options: digests of what all steps must share, by name; see :mod:`.shared_options`
    """

    comparison: Comparison = Comparison()
    options: dict[str, str] = {}
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

    @classmethod
    def read_all(cls, results: Sequence[Mapping[str, Any]]) -> list[Self]:
        """Read what all tasks of the step before returned, for a step that needs all of it.

        When a comparison is repeated and cuts fewer pieces, Airflow keeps the results of the tasks that are not needed any more.
        They are left out.

        :raises ConfigurationError: when some are missing: of a task that failed, or that somebody marked as successful
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
        """Return what the step cost, as fields of a report."""
        return {name: getattr(self, name) for name in ("requests", "bytes_received", "bytes_sent", "seconds")}
