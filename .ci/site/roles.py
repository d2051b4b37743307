"""Show the roles and blocks of Sphinx in docstrings as Markdown: the site is made by MkDocs."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_ROLE = re.compile(r":\w+:`~?\.?([^`]+)`")
_BLOCK = re.compile(r"^::\n", re.MULTILINE)
_SEE_ALSO = re.compile(r"^\.\. seealso:: ", re.MULTILINE)


class Roles(Extension):
    """Replaces each role by the name that it has, before docstrings are parsed; a block is indented in both languages."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            text = _ROLE.sub(lambda match: f"`{match[1].rpartition('.')[2]}`", obj.docstring.value)
            obj.docstring.value = _SEE_ALSO.sub("See also: ", _BLOCK.sub("", text))
