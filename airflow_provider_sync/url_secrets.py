"""Find the secrets in URLs, also within other text: the password of the account, and parameters such as ``?password=…``.

What is done with them is decided elsewhere: :mod:`.redaction` hides them, and ``airflow-sync init`` writes variables.
"""

from __future__ import annotations

import re
from collections.abc import Callable

SECRET_NAMES = r"pass(?:word|wd|phrase)?|pwd|token|secret(?:_?key)?|(?:access|api|mask|private)_?key|signature"  # noqa: S105  # names only
"""Names whose values are secrets: a part of a regular expression, which ignores case."""

_PARAMETER = re.compile(rf"([?&]([\w.-]*(?:{SECRET_NAMES}|(?<!ssl)(?<!ssl_)key)\d*)=)([^&\s]+)", re.IGNORECASE)
"""A parameter that has a secret, such as ``&sslpassword=…``; ``ssl_key`` is the path of a file."""

_ACCOUNT = re.compile(
    # urllib reads digits as the port, SQLAlchemy as a password if there is an @ anywhere behind them.
    r"""(?:(?<!http)(?<!https)|(?!://[^:/\s]*:\d*[.,:;)'"]*(?:[/?#\s]|$)))"""
    # As SQLAlchemy reads a password: up to the @, also if it has a slash, a question mark or a blank. Further @ before the
    # parameters, which are refused later, belong to it, too.
    r"(://[^:/\s]*:)(?!\s)([^@]+(?:@[^@?\s]*(?=@))*)(?=@)"
)

_UP_TO_AT = re.compile(r"^.*@", re.MULTILINE)
"""The part of a line that can have passwords of accounts. Within it each search for the ``@`` ends, so the time is linear."""


def replace_secrets(text: str, replace: Callable[[str, str], str]) -> str:
    """Return ``text`` with other secrets in its URLs; user names and everything else stay.

    :param replace: returns the new text for a secret; called with the name of its parameter, ``password`` for the account's, and
        with the secret as the URL has it, which may be percent-encoded
    """

    def in_account(line: re.Match[str]) -> str:
        return _ACCOUNT.sub(lambda found: found[1] + replace("password", found[2]), line[0])

    # First, since the value of a parameter may have an @.
    text = _PARAMETER.sub(lambda found: found[1] + replace(found[2], found[3]), text)
    return _UP_TO_AT.sub(in_account, text)


def secrets_in_urls(text: str) -> list[str]:
    """Return the secrets in the URLs of a text, as they are written there."""
    found: list[str] = []

    def take(_name: str, secret: str) -> str:
        found.append(secret)
        return ""

    replace_secrets(text, take)
    return found
