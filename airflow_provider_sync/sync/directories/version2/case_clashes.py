"""Find names that differ in case only, of which some file systems keep one, in memory bounded by the largest directory."""

from __future__ import annotations


class CaseClashes:
    """Looks at paths in their order.

    :ivar first: two paths that differ in case only, if there are any
    """

    def __init__(self) -> None:
        self.first: tuple[str, str] | None = None
        self._directories: list[str] = []
        self._names: list[dict[str, str]] = [{}]

    def add(self, path: str) -> None:
        """Take the next path; directories above it need not have been listed."""
        if self.first is not None:
            return
        *above, name = path.split("/")
        if above != self._directories:
            self._enter(above)
        self._add_name(self._names[-1], name)

    def _enter(self, above: list[str]) -> None:
        same = 0
        while same < min(len(above), len(self._directories)) and above[same] == self._directories[same]:
            same += 1
        del self._names[same + 1 :]
        for directory in above[same:]:
            self._add_name(self._names[-1], directory)
            self._names.append({})
        self._directories = above

    def _add_name(self, names: dict[str, str], name: str) -> None:
        first = names.setdefault(name.casefold(), name)
        if first != name and self.first is None:
            above = "".join(f"{directory}/" for directory in self._directories[: len(self._names) - 1])
            self.first = above + first, above + name
