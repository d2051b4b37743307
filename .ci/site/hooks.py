"""What MkDocs does not know by itself: the order of the pages, links out of docs/, and the pages that are made from code.

The indexes of the documentation, which a test holds complete, are the navigation. What is made from code are a page for each
operator, sensor, trigger, notifier, task group and hook, for assets and errors, for each command, and for each example.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from posixpath import normpath, relpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from airflow_provider_sync.cli.parser import build_parser
from airflow_provider_sync.provider_info import get_provider_info

PROJECT = Path(__file__).parents[2]
PACKAGE = "airflow_provider_sync"
EXAMPLES = sorted((PROJECT / "example_dags").glob("example_*.*"))

KINDS = {
    "Operators": "operators",
    "Sensors": "sensors",
    "Task groups": "task_groups",
    "Triggers": "triggers",
    "Notifications": "notifications",
    "Hooks": "hooks",
}
"""Headings of what Airflow's users import, and the packages that it is in."""

MODULES = {"assets": "Assets", "exceptions": "Errors"}
"""Modules that users import names of, each with the heading of its page."""

OUTSIDE = {"CHANGELOG.md": "CHANGELOG.md", "README.md": "README.md", "LICENSE": "LICENSE.md"}
"""Files of the project that pages lead to, and the pages that show them."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Set the navigation, and anchors as GitHub makes them, since the pages are read there, too."""
    docs = Path(config.docs_dir)
    contributing = docs / "contributing" / "README.md"
    config.nav = [
        {"Home": "README.md"},
        *_navigation(docs / "README.md", but="contributing/"),
        {"Code": _code_navigation()},
        {"Contribute": ["contributing/README.md", *_navigation(contributing)]},
        {"Releases": ["CHANGELOG.md", "LICENSE.md"]},
    ]
    config.mdx_configs["toc"] = {**config.mdx_configs.get("toc", {}), "slugify": _github_slug}
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from code, and those of files beside docs/."""
    for path, text in _made_pages():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links out of docs/ to the pages that show those files, and whoever searches to the reference first."""
    source = page.file.src_uri
    if source.startswith("reference/"):
        page.meta["search"] = {"boost": 2}
    folder = source.rpartition("/")[0]

    def moved(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        if "://" in target:
            return match[0]
        # CHANGELOG.md is read where it stands: beside docs/.
        place = normpath(f"{'' if source in OUTSIDE.values() else f'docs/{folder}'}/{target}").lstrip("/")
        if place.startswith("docs/") and source not in OUTSIDE.values():
            return match[0]
        shown = _shown(place)
        return f"]({relpath(shown, folder or '.')}{anchor})" if shown else match[0]

    return re.sub(r"\]\(([^)#\s]+)(#[^)\s]*)?\)", moved, markdown)


def _shown(place: str) -> str | None:
    """Return the page of a file of the project."""
    if place.startswith("docs/"):
        return place.removeprefix("docs/")
    if place.startswith("example_dags/"):
        return f"code/examples/{Path(place).name}.md"
    return OUTSIDE.get(place)


def _navigation(index: Path, *, but: str | None = None) -> list[dict[str, list[str]]]:
    """Read an index: each heading with the pages below it, in their order."""
    base = index.parent.name if index.parent.name != "docs" else ""
    sections: list[dict[str, list[str]]] = []
    pages: list[str] = []
    for line in index.read_text().splitlines():
        if heading := re.fullmatch(r"\*\*(.+)\*\*", line):
            pages = []
            sections.append({heading[1]: pages})
        elif line.startswith("- ") and (link := re.search(r"\]\(([^)#]+\.md)\)", line)):
            page = normpath(f"{base}/{link[1]}").lstrip("/")
            # What belongs to another index stands there once.
            if page.startswith(base) and not (but and page.startswith(but)):
                pages.append(page)
    return [section for section in sections if any(section.values())]


def _code_navigation() -> list[Any]:
    classes = [{heading: [f"code/{folder}/{kind.__name__}.md" for kind in _classes(folder)]} for heading, folder in KINDS.items()]
    commands = [f"code/commands/{name}.md" for name in _commands()]
    examples = [f"code/examples/{example.name}.md" for example in EXAMPLES]
    modules = [{"Modules": [f"code/{module}.md" for module in MODULES]}]
    return ["code/index.md", *classes, *modules, {"Commands": commands}, {"Examples": examples}]


def _made_pages() -> Iterator[tuple[str, str]]:
    for source, page in OUTSIDE.items():
        if source != "README.md":
            text = (PROJECT / source).read_text()
            yield page, text if source.endswith(".md") else f"# {source.title()}\n\n```text\n{text}\n```\n"
    yield "code/index.md", _index_of_code()
    for folder in KINDS.values():
        for kind in _classes(folder):
            yield f"code/{folder}/{kind.__name__}.md", _page_of_class(kind)
    for module, heading in MODULES.items():
        yield f"code/{module}.md", f"# {heading}\n\n::: {PACKAGE}.{module}\n"
    for name, parser in _commands().items():
        about = f"Arguments, and what is printed: [the reference](../../reference/commands.md#{name})."
        yield f"code/commands/{name}.md", f"# {parser.prog}\n\n{about}\n\n```text\n{parser.format_help()}```\n"
    for example in EXAMPLES:
        language = "python" if example.suffix == ".py" else "yaml"
        yield f"code/examples/{example.name}.md", f"# {example.name}\n\n```{language}\n{_without_markers(example)}```\n"


def _index_of_code() -> str:
    lines = ["# Code", "", "What DAGs import, what runs in a shell, and examples of both."]
    for heading, folder in KINDS.items():
        lines += ["", f"**{heading}**", ""]
        lines += [f"- [{kind.__name__}]({folder}/{kind.__name__}.md): {_first_sentence(kind)}" for kind in _classes(folder)]
    lines += ["", "**Modules**", ""]
    lines += [f"- [{heading}]({module}.md): `{PACKAGE}.{module}`" for module, heading in MODULES.items()]
    lines += ["", "**Commands**", ""]
    lines += [f"- [{parser.prog}](commands/{name}.md)" for name, parser in _commands().items()]
    return "\n".join(lines) + "\n"


def _page_of_class(kind: type) -> str:
    lines = [f"# {kind.__name__}", "", f"```python\nfrom {kind.__module__} import {kind.__name__}\n```", ""]
    if (found := _example_of(kind)) is not None:
        example, snippet = found
        lines += [f"From [{example.name}](../examples/{example.name}.md):", "", f"```python\n{snippet}```", ""]
    lines += [f"::: {kind.__module__}.{kind.__qualname__}", ""]
    if bases := _bases(kind):
        links = ", ".join(f"[{base.__name__}](../{_folder(base)}/{base.__name__}.md)" for base in bases)
        lines += [f"It also takes the arguments of {links}, and those of Airflow.", ""]
    return "\n".join(lines)


def _classes(folder: str) -> list[type]:
    """Return what users import of a package, the public classes that Airflow is told of, and then what these share."""
    if folder == "task_groups":
        modules = [f"{PACKAGE}.{folder}.{path.stem}" for path in sorted((PROJECT / PACKAGE / folder).glob("[!_]*.py"))]
    else:
        entries = get_provider_info()[folder]
        modules = [name for entry in entries for name in _modules_of(entry)]
    found = [kind for name in modules for kind in vars(import_module(name)).values() if _is_of(kind, name)]
    users = [kind for kind in found if not any(other is not kind and issubclass(other, kind) for other in found)]
    shared = dict.fromkeys(base for kind in users for base in _bases(kind) if _folder(base) == folder)
    return [*users, *(base for base in shared if base not in users)]


def _bases(kind: type) -> list[type]:
    """Return the classes of this package from which a class has arguments."""
    return [base for base in inspect.getmro(kind)[1:] if base.__module__.startswith(f"{PACKAGE}.") and "__init__" in vars(base)]


def _folder(kind: type) -> str:
    return kind.__module__.split(".")[1]


def _modules_of(entry: Any) -> list[str]:
    """Return the modules of an entry of the provider's metadata: a class by its path, or a list of modules."""
    return [entry.rpartition(".")[0]] if isinstance(entry, str) else list(entry["python-modules"])


def _is_of(kind: Any, module: str) -> bool:
    return inspect.isclass(kind) and kind.__module__ == module and not kind.__name__.startswith("_") and bool(kind.__doc__)


def _first_sentence(kind: type) -> str:
    """Return the first sentence of a docstring, as Markdown."""
    text = (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " ").replace("``", "`")
    return re.sub(r":\w+:`~?\.?([^`]+)`", r"`\1`", text)


def _example_of(kind: type) -> tuple[Path, str] | None:
    """Return the shortest marked piece of an example that uses a class."""
    pieces = [
        (example, inspect.cleandoc(piece) + "\n")
        for example in EXAMPLES
        for piece in re.findall(r"^ *# \[START \w+\]\n(.*?)^ *# \[END ", example.read_text(), re.MULTILINE | re.DOTALL)
        if re.search(rf"\b{kind.__name__}\b", piece)
    ]
    return min(pieces, key=lambda found: len(found[1]), default=None)


def _without_markers(example: Path) -> str:
    return re.sub(r"^ *# \[(?:START|END) \w+\]\n", "", example.read_text(), flags=re.MULTILINE)


def _commands() -> dict[str, argparse.ArgumentParser]:
    (commands,) = [action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(commands.choices)


def _github_slug(text: str, separator: str) -> str:
    """Return the anchor of a heading as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", separator)
