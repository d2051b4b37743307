"""One parser under atheris: ``python -m tests.fuzz.harness NAME [libFuzzer's arguments]``; see :mod:`.run`."""

from __future__ import annotations

import sys

import atheris  # type: ignore[import-not-found, unused-ignore]  # of the extra `fuzz`

with atheris.instrument_imports(include=["airflow_provider_sync"]):
    from tests.fuzz.parsers import ERRORS, PARSERS


def main() -> None:
    """Feed the parser until libFuzzer has enough."""
    parser = PARSERS[sys.argv[1]]

    def test_one_input(data: bytes) -> None:
        try:
            parser(data)
        except ERRORS:
            return

    atheris.Setup([sys.argv[0], *sys.argv[2:]], test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
