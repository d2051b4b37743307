"""What all options have in common: they are checked when they are read, and never change afterwards.

The models of the files and of their parts are in the modules beside; what a mistake is called is in :mod:`.mistakes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PrivateAttr, TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from airflow_provider_sync.config.mistakes import KIND, SENTENCE, VALUE, mistakes_in, refusal
from airflow_provider_sync.config.secret_options import secrets_in
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.redaction import remember_secrets
from airflow_provider_sync.time_zones import checked_time_zone

VARIABLE = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"
"""Pattern of a variable of the environment, which may stand in a file for any value."""

Value = TypeVar("Value")
Entry = TypeVar("Entry", bound="Options")


class Options(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True):
    """A group of options: a frozen value, made by keyword, from a mapping or from YAML.

    By keyword, a mistake raises pydantic's ``ValidationError``; :meth:`from_dict` raises an error of this package.
    """

    _flags: frozenset[str] = PrivateAttr(default=frozenset())

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Check ``settings`` and build the value.

        Numbers and switches may be text, since templates and variables render to text.

        :raises ConfigurationError: naming the place of each mistake
        """
        remember_secrets(secrets_in(settings))
        try:
            return cls.model_validate(dict(settings))
        except ValidationError as error:
            raise refusal(mistakes_in(error, cls)) from error

    def set_by_flags(self, **options: Any) -> Self:
        """Return the same with these options, checked already, which flags of a command have set."""
        changed = self.model_copy(update=options)
        changed._flags = self._flags.union(options)  # type: ignore[misc]  # pydantic lets it be set, also in a frozen model
        return changed

    def what_to_set(self, option: str) -> str:
        """Return the name of an option for messages: its flag, if a flag has set it."""
        return flag_of(option) if option in self._flags else option

    def __str__(self) -> str:
        # pydantic's own shows fields that __repr__ keeps secret.
        return repr(self)


def flag_of(option: str) -> str:
    """Return the flag of a command that sets an option."""
    return f"--{option.replace('_', '-')}"


def entry_from_options(group: str, name: str, options: Mapping[str, Any] | None, kind: type[Entry]) -> Entry:
    """Build one entry of ``tables`` or ``directories``.

    :param group: ``tables`` or ``directories``
    :raises ConfigurationError: naming the entry, and the place of each mistake
    """
    try:
        return kind.model_validate(named_entries({name: options})[name])
    except ValidationError as error:
        raise refusal(mistakes_in(error, kind, at=(group, name))) from error


def plain_value(value: Any, kind: type[Value]) -> Value:
    """Read a value of a plain type; text that means it is accepted.

    :raises WrongOptions: with one mistake, at no place
    """
    checked: Any = {int: Whole, float: Annotated[float, Field(allow_inf_nan=False)]}.get(kind, kind)
    try:
        read: Value = TypeAdapter[Any](checked).validate_python(value)
    except ValidationError as error:
        raise refusal(mistakes_in(error, kind)) from error
    return read


def wrong_value(message: str) -> PydanticCustomError:
    """Return the error of a value that cannot be used; the message begins with the option's name."""
    return PydanticCustomError(VALUE, "{message}", {"message": message})


def wrong_reference(message: str) -> PydanticCustomError:
    """Return the error of an option that names something that is not there; the message is a whole sentence."""
    return PydanticCustomError(SENTENCE, "{message}", {"message": message})


def checked_unicode(text: str) -> str:
    """Refuse a text with lone surrogates, which Python has for bytes of a command line that are not UTF-8.

    :raises PydanticCustomError: without the name of the option
    """
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise wrong_value(f"{text!r} is not valid Unicode. Write it in UTF-8.")
    return text


def checked_by(check: Callable[[Any], Value]) -> BeforeValidator:
    """Turn a function that raises :class:`ConfigurationError` into a validator, which other mistakes do not stop."""

    def checked(value: Any) -> Value:
        try:
            return check(value)
        except ConfigurationError as error:
            raise wrong_value(str(error)) from error

    return BeforeValidator(checked)


def named_entries(entries: Any) -> Any:
    """Give each entry of ``tables`` or ``directories`` its name, and take one without options for an empty mapping.

    :raises pydantic.ValidationError: for an entry with an option ``name``
    """
    if not isinstance(entries or {}, Mapping):
        return entries
    found: dict[Any, Any] = {}
    mistakes = []
    for name, options in (entries or {}).items():
        if isinstance(options or {}, Mapping):
            if "name" in (options or {}):
                wrong = wrong_value("there is no option 'name': what stands before the options is the name.")
                mistakes.append(InitErrorDetails(type=wrong, loc=(str(name),), input=None))
            options = {**(options or {}), "name": str(name)}
        found[str(name)] = options
    if mistakes:
        raise ValidationError.from_exception_data("entries", mistakes)
    return found


def _no_switch(wanted: str) -> BeforeValidator:
    """Refuse ``true`` and ``false`` where a number is expected: Python takes them for 1 and 0."""

    def checked(value: Any) -> Any:
        if isinstance(value, bool):
            raise PydanticCustomError(KIND, "{wanted}", {"wanted": wanted})
        return value

    return BeforeValidator(checked)


WHOLE_NUMBER = _no_switch("a whole number")
"""Last part of the type of an option that is a whole number; bounds before it are in the JSON Schema, too."""

NUMBER = _no_switch("a number")
"""The same for a number that may have a fraction."""

Name = Annotated[str, AfterValidator(checked_unicode)]
"""The name of a table, of a column, or of what a server offers, or a pattern of file names."""

MAX_WHOLE = 1_000_000_000_000_000_000
"""The largest number of an option: databases and the protocol have 64 bits for it."""

MAX_SECONDS = 1_000_000_000
"""The longest time of an option, some 30 years: with longer ones, dates and waits overflow."""

MAX_DAYS = 36_500

MAX_RETRIES = 1_000

MAX_SOCKET_SECONDS = 2_000_000
"""The longest time that a socket waits, some 23 days: ``poll()`` has 31 bits for milliseconds."""

Whole = Annotated[int, Field(ge=-MAX_WHOLE, le=MAX_WHOLE), WHOLE_NUMBER]
NotNegativeWhole = Annotated[int, Field(ge=0, le=MAX_WHOLE), WHOLE_NUMBER]
PositiveWhole = Annotated[int, Field(gt=0, le=MAX_WHOLE), WHOLE_NUMBER]
PositiveNumber = Annotated[float, Field(gt=0, allow_inf_nan=False), NUMBER]
Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False), NUMBER]
SocketSeconds = Annotated[float, Field(gt=0, le=MAX_SOCKET_SECONDS, allow_inf_nan=False), NUMBER]
Days = Annotated[int, Field(gt=0, le=MAX_DAYS), WHOLE_NUMBER]
Retries = Annotated[int, Field(ge=0, le=MAX_RETRIES), WHOLE_NUMBER]
Places = Annotated[int, Field(gt=0, le=1_000_000), WHOLE_NUMBER]
"""How many of something a server keeps at once."""


def _time_zone(value: Any) -> Any:
    # A number is what YAML makes of `+10:00` without quotes.
    return checked_time_zone(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else value


TimeZoneName = Annotated[str, checked_by(_time_zone)]
"""An offset such as ``+01:00``, or an IANA name."""
