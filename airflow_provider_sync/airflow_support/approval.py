"""Ask a person to approve a sync by Airflow's human-in-the-loop, and read the answer.

Airflow keeps one question for each task instance, never replaces its text, and keeps it when the task is cleared or retried. So a
task asks at most once in each try, and only if Airflow shows the question that the task asks now.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from airflow.providers.common.compat.sdk import Context, TaskDeferred

from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.exceptions import ConfigurationError, GuardError, RefusedDeletes
from airflow_provider_sync.printable import printable
from airflow_provider_sync.sync import Opener
from airflow_provider_sync.sync.refused_deletes import find_examples, find_refused
from airflow_provider_sync.sync.run import RunPlan

log = logging.getLogger(__name__)


class OnGuard(StrEnum):
    """What a task does when a guard stops its sync."""

    FAIL = "fail"
    ASK = "ask"


class Choice(StrEnum):
    """What a person may answer."""

    GO_ON = "Go on"
    END = "End"


class Question(NamedTuple):
    """A question.

    :ivar refused: the refused deletions that it is about
    :ivar text: its text in Markdown
    """

    refused: Sequence[RefusedDeletes]
    text: str

    @property
    def plain_refused(self) -> list[dict[str, Any]]:
        """The refused deletions as plain data for JSON."""
        return [entry._asdict() for entry in self.refused]


def make_question(
    config: ClientConfig,
    plan: RunPlan,
    first: Sequence[RefusedDeletes],
    *,
    attempt: Callable[[RunPlan], object],
    opener: Opener,
) -> Question:
    """Find all deletions that the guards would refuse, and make a question with examples.

    :param attempt: makes a dry run of a plan
    :param first: the deletions that the guards have already refused
    :raises SyncError: when the run would fail for another reason
    """
    refused = find_refused(attempt, plan, first)
    allowed = plan.allowing(refused)
    lines = ["The sync stopped before it deleted more than its limits allow.", ""]
    for entry in refused:
        unit = {"table": "rows", "directory": "files"}.get(entry.kind, entry.kind)
        lines.append(
            f"- {entry.kind} {_code(entry.name)}: {entry.deletes:,} of {entry.present:,} {unit} would be deleted; the source has"
            f" {entry.offered:,}."
        )
        if named := find_examples(config, allowed, entry, opener=opener):
            more = f" and {entry.deletes - len(named):,} more" if entry.deletes > len(named) else ""
            lines.append(f"  Among them: {', '.join(map(_code, named))}{more}")
    lines += ["", f"“{Choice.GO_ON}” deletes at most as many. “{Choice.END}” fails the task, and these stay as they are."]
    return Question(refused, "\n".join(lines))


def ask(context: Context, question: Question, method_name: str, kwargs: Mapping[str, Any]) -> BaseException:
    """Ask a question, and return the exception to raise in order to wait for the answer.

    :param method_name: the operator's method that continues the task
    :param kwargs: arguments of that method besides ``context`` and ``event``, as plain data for JSON
    :return: before Airflow 3.3 ``TaskDeferred``, from then on Airflow's signal that a task awaits input
    :raises ConfigurationError: when what Airflow needs for it is not installed
    :raises GuardError: when Airflow shows another question
    """
    ti_id = context["ti"].id
    options = [choice.value for choice in Choice]
    signal = _signal(ti_id, options, method_name=method_name, kwargs=dict(kwargs))
    names = ", ".join(entry.name for entry in question.refused)
    subject = printable(f"Delete from {names}?")
    if shown_text(ti_id, options=options, subject=subject, body=question.text) != question.text:
        raise GuardError(
            f"The sync of {names} would delete more than its limits allow. Airflow still shows the question of an earlier try of"
            " this task, with other numbers, and cannot replace it: trigger the DAG anew to be asked again."
        )
    return signal


def shown_text(ti_id: Any, **asked: Any) -> str | None:
    """Ask a question, and return the text that Airflow shows: that of an earlier try, if one has asked."""
    # Loaded only now, since they take long, and hardly any task asks. Only Airflow itself offers them, and its function
    # `upsert_hitl_detail` keeps to itself what the API server answers. Nobody in particular is an empty list to that server,
    # which refuses the payload's own default, null.
    from airflow.sdk.execution_time.comms import CreateHITLDetailPayload  # noqa: TID251  # see above
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS  # noqa: TID251  # see above

    shown = SUPERVISOR_COMMS.send(CreateHITLDetailPayload(ti_id=ti_id, params={}, assigned_users=[], **asked))
    return getattr(shown, "body", None)


def check_answer(event: Mapping[str, Any], refused: Sequence[RefusedDeletes]) -> None:
    """Check that a person lets the sync go on, and log who.

    :param event: the answer, as Airflow passes it to the method that was named
    :raises GuardError: when the answer is no, or there is none
    """
    names = ", ".join(repr(entry.name) for entry in refused)
    would = f"The sync of {names} would delete more than its limits allow"
    if "error" in event:
        raise GuardError(f"{would}, and nobody has allowed it: {event['error']}")
    by = str((event.get("responded_by_user") or {}).get("name") or "Somebody")
    if list(event.get("chosen_options") or ()) != [Choice.GO_ON]:
        raise GuardError(f"{would}, and {by} has ended it.")
    log.info("%s has allowed the sync of %s to go on.", by, names)


def _signal(ti_id: Any, options: list[str], **resume: Any) -> BaseException:
    try:
        from airflow.sdk.exceptions import TaskAwaitingInput  # noqa: TID251  # from Airflow 3.3 on, and only there
    except ImportError:
        pass
    else:
        return TaskAwaitingInput(**resume)
    try:
        from airflow.providers.standard.triggers.hitl import HITLTrigger
    except ImportError as error:
        raise ConfigurationError(
            "on_guard is 'ask', which needs apache-airflow-providers-standard on this version of Airflow. Install it."
        ) from error
    trigger = HITLTrigger(ti_id=ti_id, options=options, params={}, timeout_datetime=None)
    return TaskDeferred(trigger=trigger, **resume)


def _code(text: str) -> str:
    plain = printable(text, 100).replace("`", "'")
    return f"`{plain}`"
