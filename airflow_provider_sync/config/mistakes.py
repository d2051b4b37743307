"""Turn pydantic's errors into messages in the terms of the configuration, with the place of each mistake.

Messages are made from an error's data (its type, place, input and bounds), never from pydantic's own text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.near_names import did_you_mean
from airflow_provider_sync.printable import printable

Place = tuple[str | int, ...]

VALUE = "sync_value"
"""Error type of our own validators: ``ctx["message"]`` begins with the option's name."""

SENTENCE = "sync_sentence"
"""Error type of our own validators: ``ctx["message"]`` is a whole sentence that names the entry itself."""

KIND = "sync_kind"
"""Error type of our own validators: the value is of the wrong kind, ``ctx["wanted"]`` is the right one."""

_GROUPS = ("tables", "directories")
_WHOLE_GROUPS = [(group,) for group in _GROUPS]
_KEY = "[key]"  # pydantic's last step to a key of a mapping that is wrong itself

_WANTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a number",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "mapping_type": "a mapping",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "string_type": "text",
    "tuple_type": "a list",
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake.

    :ivar place: keys and indexes from the top of the options to the value, or to where it is missing
    :ivar message: a sentence or two: what is wrong, and what to give instead
    :ivar line: in the file, from 1 on, where it is known
    """

    place: Place
    message: str
    line: int | None = None


class WrongOptions(ConfigurationError):
    """Invalid options; the message lists all mistakes.

    :ivar mistakes: the single mistakes
    """

    def __init__(self, message: str, mistakes: Sequence[Mistake] = ()) -> None:
        super().__init__(message, tuple(mistakes))
        self.mistakes = tuple(mistakes)

    def __str__(self) -> str:
        return str(self.args[0])


def refusal(mistakes: Sequence[Mistake]) -> WrongOptions:
    """Return the error to raise for mistakes."""
    return WrongOptions(" ".join(mistake.message for mistake in mistakes), mistakes)


def mistakes_in(error: ValidationError, model: Any, at: Place = (), unknown: Collection[Place] = ()) -> list[Mistake]:
    """Return the mistakes that pydantic found, each once, in the order in which the options are declared.

    :param model: the model, or another type, that was to be built
    :param at: the place of what was read, for messages
    :param unknown: places whose values are not known, so that only the name of the option may be wrong there
    """
    found: dict[Place, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        place = _place(details["loc"], model)
        if place not in unknown or details["type"] == "extra_forbidden":
            found.setdefault(place, []).append(details)
    # A list with a wrong entry is reported once as no text, and once for the entry, where both would be allowed.
    above = {place[:length] for place in found for length in range(len(place))}
    deepest = {place: errors for place, errors in found.items() if place not in above}
    return [
        Mistake(at + tuple(step for step in place if step != _KEY), _message(at + place, place, errors, model))
        for place, errors in deepest.items()
    ]


def _message(whole: Place, place: Place, errors: Sequence[ErrorDetails], model: Any) -> str:
    details = errors[0]
    if details["type"] == SENTENCE:
        return str(details["ctx"]["message"])
    is_entry = len(whole) > 1 and whole[0] in _GROUPS
    inside = whole[2:] if is_entry else whole
    if details["type"] == "extra_forbidden":
        said = _unknown_option(inside, _options_at(place[:-1], model), begins=not is_entry)
    elif not inside and _WANTED.get(details["type"]) == "a mapping":
        said = f"its options must be a mapping, not {_value(details['input'])}."
    elif inside in _WHOLE_GROUPS and _WANTED.get(details["type"]) == "a mapping":
        said = f"{inside[0]} must be a mapping of names to options, not {_value(details['input'])}."
    else:
        said = _wrong_value(inside, errors)
    return f"{whole[1]!r}: {said}" if is_entry else said


def _wrong_value(place: Place, errors: Sequence[ErrorDetails]) -> str:
    """Say what is wrong with a value, or that it is missing.

    :param place: within the entry, or within the file
    :param errors: several where the value may be of several kinds, and is of none
    """
    details, subject = errors[0], _written(place) or "It"
    given, context = details["input"], details.get("ctx", {})
    match details["type"]:
        case "missing":
            return f"{_within(place)}{str(place[-1])!r} is missing. Give it a value."
        case "invalid_key":
            return f"{_within(place)}the name {place[-1]} must be text. Write it in quotes."
        case "greater_than":
            return f"{subject} is {_number(given)}. Give more than {context['gt']:g}."
        case "greater_than_equal":
            return f"{subject} is {_number(given)}. Give {context['ge']:g} or more."
        case "less_than_equal":
            return f"{subject} is {_number(given)}. Give {context['le']:.0f} or less."
        case "int_parsing_size":
            return f"{subject} has too many digits. Give a smaller number."
        case "literal_error":
            return f"{subject} must be {context['expected']}, not {_value(given)}."
        case "finite_number" | "int_from_float" as kind:
            return f"{subject} is {_number(given)}. Give {_WANTED[kind]}."
        case kind if kind == VALUE:
            return str(context["message"])
        case kind if kind == KIND or kind in _WANTED:
            if place and place[-1] == _KEY:
                return f"{_within(place[:-1])}the name {given} must be text, not {_kind_of(given)}. Write it in quotes."
            wanted = dict.fromkeys(error.get("ctx", {}).get("wanted") or _WANTED[error["type"]] for error in errors)
            # YAML reads a date as one, unless it is in quotes.
            quotes = " Write it in quotes." if "text" in wanted and isinstance(given, date) else ""
            return f"{subject} must be {' or '.join(wanted)}, not {_kind_of(given)}.{quotes}"
        case _:
            return f"{subject} cannot be used: {details['msg']}."


def _unknown_option(place: Place, options: Sequence[str], *, begins: bool) -> str:
    """Say that there is no such option.

    :param begins: whether the message begins with it
    """
    name, within = str(place[-1]), _within(place)
    hint = did_you_mean(name, options) or f" There are: {', '.join(options)}."
    return f"{within}{'There' if begins and not within else 'there'} is no option {name!r}.{hint}"


def _within(place: Place) -> str:
    """Write what a place is in, to begin a message with."""
    return f"{_written(place[:-1])}: " if len(place) > 1 else ""


def _written(place: Place) -> str:
    """Write a place as in ``tokens[0].tables``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")


def _kind_of(value: Any) -> str:
    """Name what YAML makes of a value."""
    match value:
        case None:
            return "empty"
        case bool():
            return "true or false"
        case int():
            return "a whole number"
        case float():
            return "a number"
        case str():
            return "text"
        case date():
            return "a date"
        case Mapping():
            return "a mapping"
        case Sequence() | set() | frozenset():
            return "a list"
        case _:
            return type(value).__name__


def _number(given: Any) -> str:
    """Write a number, or the text of one, that may have any number of digits."""
    return printable(str(given), 40)


def _value(value: Any) -> str:
    """Name what stands in place of a mapping, as YAML does."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {printable(value, 40)!r}"
        case _:
            return _kind_of(value)


def _options_at(place: Place, model: Any) -> list[str]:
    """Name the options that may stand at a place."""
    *_, kinds = _walk(place, model)
    models = [kind for kind in kinds if _is_model(kind)]
    # A name that is required is what stands before the options.
    return [name for kind in models for name, field in kind.model_fields.items() if name != "name" or not field.is_required()]


def _place(loc: Place, model: Any) -> Place:
    """Return an error's place without the steps by which pydantic says which member of a union it tried."""
    return tuple(step for step, before in zip(loc, _walk(loc, model), strict=False) if _holds(before, step))


def _walk(loc: Place, model: Any) -> Iterator[list[Any]]:
    """Yield, from the top to a place, what may stand there: after no step, after one, and so on."""
    kinds = list(_members(model))
    yield kinds
    for step in loc:
        if _holds(kinds, step):
            kinds = [member for kind in kinds for inner in _inner(kind, step) for member in _members(inner)]
        yield kinds


def _holds(kinds: Sequence[Any], step: str | int) -> bool:
    """Whether a step leads into one of several types; otherwise it names one of them."""
    if isinstance(step, int):
        # In a model, it is a name that YAML takes for a number.
        return any(get_origin(kind) in (tuple, dict) or _is_model(kind) for kind in kinds)
    return step == _KEY or not kinds or any(_is_model(kind) or get_origin(kind) is dict for kind in kinds)


def _inner(kind: Any, step: str | int) -> Iterator[Any]:
    """Yield the type of what is one step inside a value of a type."""
    if _is_model(kind) and step in kind.model_fields:
        yield kind.model_fields[step].annotation
    elif get_origin(kind) is dict:
        yield get_args(kind)[1]
    elif get_origin(kind) is tuple:
        yield get_args(kind)[0]


def _members(kind: Any) -> Iterator[Any]:
    """Yield the members of a union, or the type itself, without what annotates it."""
    origin = get_origin(kind)
    if origin is Annotated:
        yield from _members(get_args(kind)[0])
    elif origin in (Union, UnionType):
        for member in get_args(kind):
            yield from _members(member)
    elif kind is not type(None):
        yield kind


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
