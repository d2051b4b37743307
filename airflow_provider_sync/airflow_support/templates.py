"""Templates that use something undefined: the task begins, and its error names the argument.

What a rendered argument means is read in :mod:`.rendered_arguments`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self
from urllib.parse import unquote

import jinja2
from airflow.providers.common.compat.sdk import Context

# From Airflow 3.1 on it is here; only the latest common-compat offers it on the common import path.
from airflow.sdk.log import mask_secret  # noqa: TID251  # see above
from jinja2.meta import find_undeclared_variables

from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.url_secrets import secrets_in_urls

INTERVAL_VARIABLES = frozenset(
    {"data_interval_start", "data_interval_end", "logical_date", "ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz"}
)
"""Variables of templates that a run without a logical date lacks."""


class UndefinedText(str):
    """What stands in place of a rendered template that uses something undefined: jinja2's reason.

    :ivar missing: variables of the template that the run does not have; empty if an attribute of one is missing
    """

    missing: frozenset[str]

    def __new__(cls, reason: str, missing: Iterable[str] = ()) -> Self:
        """Make the text."""
        text = super().__new__(cls, reason)
        text.missing = frozenset(missing)
        return text


class ReportsUndefinedTemplates:
    """Let an operator begin although a template uses something undefined, and fail when it reads that argument.

    Airflow itself fails such a task with a traceback that does not name the argument, and tries again. Comes before
    ``BaseOperator``. Secrets in URLs are masked before Airflow shows the rendered fields.
    """

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """Render one value; in place of an undefined one there is an :class:`UndefinedText`.

        Native rendering and the result of another task may give ``None``, which would mean that an option is not set: a sync
        without its window, say. In its place there is the text that other templates render to.
        """
        try:
            rendered = super().render_template(content, context, jinja_env, seen_oids)  # type: ignore[misc]  # BaseOperator's
        except jinja2.UndefinedError as error:
            return UndefinedText(str(error), _missing(content, context, jinja_env or jinja2.Environment(autoescape=True)))
        _mask_secrets_of_urls(rendered)
        return "None" if rendered is None and content is not None else rendered


def check_present(argument: str, value: Any) -> None:
    """Refuse a value that stands for nothing.

    :raises ConfigurationError: naming the argument, if it is undefined, ``None``, or text that is empty or ``None``
    """
    if isinstance(value, jinja2.Undefined):
        raise ConfigurationError(f"{argument!r} uses a variable that is not defined.")
    if isinstance(value, UndefinedText):
        raise ConfigurationError(f"{argument!r} uses what this run does not have: {value}.{_remedy(value.missing)}")
    if value is None:
        raise ConfigurationError(f"{argument!r} is empty.")
    if isinstance(value, str) and value.strip() in ("", "None"):
        raise ConfigurationError(f"{argument!r} rendered to {value!r}. Check that what its template uses has a value.")


def _mask_secrets_of_urls(value: Any) -> None:
    """Have Airflow mask the secrets in URLs from now on, as a URL has them and as they are; other text is left alone.

    :param value: text, or a list or mapping as native rendering and results of other tasks have them
    """
    match value:
        case str():
            for secret in secrets_in_urls(value):
                mask_secret(secret)
                mask_secret(unquote(secret))
        case dict():
            _mask_secrets_of_urls([*value, *value.values()])
        case list() | tuple():
            for entry in value:
                _mask_secrets_of_urls(entry)


def _missing(content: Any, context: Context, environment: jinja2.Environment) -> set[str]:
    """Return the variables of a template that the context lacks."""
    if not isinstance(content, str):
        return set()
    return {name for name in find_undeclared_variables(environment.parse(content)) if name not in context}


def _remedy(missing: frozenset[str]) -> str:
    """Say what to do if the run has no data interval."""
    if missing.isdisjoint(INTERVAL_VARIABLES):
        return ""
    return (
        " A run without a logical date has no data interval: start it with one, by the schedule, or by `airflow backfill create`."
    )
