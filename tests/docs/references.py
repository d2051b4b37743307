"""What pages name of this project: files, modules, tests, functions, classes and commands of make."""

from __future__ import annotations

import importlib
import re
from functools import cache
from pathlib import Path

from tests.docs.pages import PROJECT

PACKAGE = PROJECT / "airflow_provider_sync"
CODE = PACKAGE, PROJECT / "tests"

_NAMED_FROM_THE_ROOT = re.compile(r"(?<![\w/.-])((?:airflow_provider_sync|tests|example_dags|docs|\.ci)/[\w./*-]+)(?:::(\w+))?")
_PATH = re.compile(r"[\w.*-]+(?:/[\w.*-]+)*/?")
_FILE = re.compile(r"[\w-]+\.(?:py|md|toml)")
_CLASS = re.compile(r"(?:[A-Z][a-z0-9]+){2,}")


def inline_code(text: str) -> list[str]:
    """Return what stands in backticks outside of blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def missing_paths(text: str) -> list[str]:
    """Return the paths from the project's root, and the tests in them, that a text names and that do not exist."""
    named = ((path.rstrip("."), test) for path, test in _NAMED_FROM_THE_ROOT.findall(text))
    return [f"{path}::{test}" if test else path for path, test in named if not _exists(PROJECT, path, test)]


def missing_rooms(text: str) -> list[str]:
    """Return the paths in backticks, and the modules in drawings, that are neither in the project nor in the package."""
    paths = [code for code in inline_code(text) if _PATH.fullmatch(code) and ("/" in code or _FILE.fullmatch(code))]
    for drawing in re.findall(r"^```text$(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        paths += re.findall(r"[\w/]+\.py", drawing)
    # What a release puts into dist/ is not there before.
    return [
        path for path in paths if not path.startswith("dist/") and not any(_exists(root, path) for root in (PROJECT, PACKAGE))
    ]


def missing_names(text: str) -> list[str]:
    """Return the dotted names of this package in a text that cannot be imported."""
    return [name for name in re.findall(r"airflow_provider_sync(?:\.\w+)+", text) if not _importable(name)]


def missing_definitions(text: str) -> list[str]:
    """Return the classes, and the functions written as ``name()``, in backticks that neither package nor tests define."""
    codes = inline_code(text)
    classes = [code for code in codes if _CLASS.fullmatch(code)]
    functions = [code.removesuffix("()") for code in codes if re.fullmatch(r"[a-z_]\w*\(\)", code)]
    return [name for name in classes + functions if name not in _definitions() and name not in _IMPORTED]


def missing_commands(text: str) -> list[str]:
    """Return the commands of make that a text names and the Makefile does not have."""
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    return [name for name in re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE) if name not in targets]


def missing_neighbours(text: str, folder: Path) -> list[str]:
    """Return the modules that a docstring names relative to its folder, as :mod:`.main`, and that do not exist."""
    return [name for name in re.findall(r":mod:`(\.[\w.]+)`", text) if not _is_module(folder, name)]


def missing_roles(text: str) -> list[str]:
    """Return the classes, functions and values that the docstrings of a module name in roles, and that are not where they say.

    As for Sphinx, a name with a dot before it is looked for in all modules; any other stands in its own, defined or imported.
    """
    return [name for name in _ROLE.findall(text) if not _is_defined(name, text)]


def _is_defined(name: str, text: str) -> bool:
    parts = name.lstrip(".").split(".")
    if not name.startswith((".", f"{PACKAGE.name}.")):
        if parts[0] in _names(text):
            return set(parts) <= _names(text)
        return parts[0] in _imported(text) and (len(parts) == 1 or any(set(parts) <= names for _, names in _modules()))
    # The first names are those of a module, or of none.
    return any(
        set(parts[count:]) <= names
        for count in range(len(parts))
        for path, names in _modules()
        if f".{path}".endswith("." + ".".join(parts[:count]) if count else "")
    )


@cache
def _modules() -> list[tuple[str, frozenset[str]]]:
    """Return the dotted names of all modules, each with the names that it defines, and a package with those that it imports."""
    found = []
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text()
        is_package = file.name == "__init__.py"
        path = (file.parent if is_package else file.with_suffix("")).relative_to(PROJECT)
        found.append((".".join(path.parts), _names(text) | _imported(text) if is_package else _names(text)))
    return found


@cache
def _names(text: str) -> frozenset[str]:
    """Return what a module defines: functions, classes, values and attributes."""
    return frozenset(name for match in _NAMES.findall(text) for name in match if name)


@cache
def _imported(text: str) -> frozenset[str]:
    imports = re.findall(r"^ *(?:from [\w.]+ )?import (\([^)]*\)|[^(\n]*)", text, re.MULTILINE)
    return frozenset(name for names in imports for name in re.findall(r"\w+", names))


def _is_module(folder: Path, name: str) -> bool:
    steps = name.lstrip(".")
    found = folder.joinpath(*[".."] * (len(name) - len(steps) - 1), *steps.split("."))
    return found.is_dir() or found.with_suffix(".py").is_file()


_ROLE = re.compile(r":(?:class|func|meth|data|attr|exc):`~?([\w.]+)(?:\(\))?`")
_NAMES = re.compile(
    r"^ *(?:(?:(?:async )?def|class) (\w+)|(?:self\.)?(\w+)(?:: [^=\n]+)?(?: =|$)|(\w+): )|:(?:ivar|vartype) (\w+):", re.MULTILINE
)
_IMPORTED = {"AirflowFailException"}
_DEFINED = re.compile(r"^[ ]*(?:(?:class|(?:async )?def) (\w+)|([A-Z]\w*)(?:: [^=\n]+)? =)", re.MULTILINE)


def _exists(root: Path, path: str, test: str = "") -> bool:
    found = list(root.glob(path.rstrip("/")))
    if path.endswith("/"):
        found = [folder for folder in found if folder.is_dir()]
    return bool(found) and (not test or any(f"def {test}(" in file.read_text() for file in found))


def _importable(name: str) -> bool:
    """Tell whether a name is a module of this package, or something in one."""
    parent, _, attribute = name.rpartition(".")
    path = PROJECT / name.replace(".", "/")
    if path.is_dir() or path.with_suffix(".py").is_file():
        return importlib.import_module(name) is not None
    return parent != "" and _importable(parent) and hasattr(importlib.import_module(parent), attribute)


@cache
def _definitions() -> frozenset[str]:
    """Return the classes, functions and type aliases that package and tests define."""
    names = set()
    for file in (file for root in CODE for file in root.rglob("*.py")):
        # To parse them all takes ten seconds.
        for defined, assigned in _DEFINED.findall(file.read_text()):
            names.add(defined or assigned)
    return frozenset(names)
