"""Warn about tokens that are about to expire, so that they are replaced before a sync fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from airflow_provider_sync.server.access.grants import Grant

log = logging.getLogger(__name__)

WARN_BEFORE = timedelta(days=14)
"""Time before a token's expiry at which warnings begin."""

_EVERY = timedelta(days=1)


class ExpiryWarnings:
    """Logs at most one warning a day for each token: when the configuration is read, and when the token is used.

    The count starts again in each server process, and whenever the configuration is read.

    :param now: the time, with a zone
    """

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._last: dict[bytes, datetime] = {}

    def warn(self, grant: Grant) -> None:
        """Log a line if a token expires soon, or has expired."""
        if grant.expires is None:
            return
        now = self._now()
        if grant.expires - now > WARN_BEFORE or now - self._last.get(grant.caller, now - _EVERY) < _EVERY:
            return
        self._last[grant.caller] = now
        when = f"{grant.expires:%Y-%m-%d at %H:%M} UTC"
        if now > grant.expires:
            log.warning("The token %r expired on %s, and is refused. Remove it from tokens.", grant.name, when)
            return
        days = (grant.expires - now).days
        log.warning(
            "The token %r expires on %s, %s. Make a new one with 'airflow-sync token new', add it beside the old one, and give it"
            " to the client.",
            grant.name,
            when,
            f"in {days} days" if days > 1 else "in a day" if days else "in less than a day",
        )
