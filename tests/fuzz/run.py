"""``make fuzz``: every parser under atheris for some seconds, with the number of tries; what it finds is kept in the corpus.

An input that it finds lies in ``corpus/PARSER/`` afterwards, where the tests replay it: fix the parser, and commit both.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.parsers import PARSERS
from tests.fuzz.seeds import SEEDS

CORPUS = Path(__file__).parent / "corpus"
_DONE = re.compile(r"Done (\d+) runs|stat::number_of_executed_units:\s*(\d+)")

_ERROR = re.compile(r"^(?:[\w.]*(?:Error|Exception)\b.*|==\d+== ERROR: .*)$", re.MULTILINE)


def main() -> int:
    """Run all parsers, or those that are named; 1 when something was found."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("parsers", nargs="*", default=list(PARSERS), help="names of parsers; all without")
    options.add_argument("--seconds", type=int, default=20, help="for each parser")
    chosen = options.parse_args()
    total = found = 0
    for name in chosen.parsers:
        tries, finding = fuzz(name, chosen.seconds)
        total += tries
        found += finding is not None
        print(f"{name:15} {tries:>10,} tries  {finding or 'nothing found'}", flush=True)
    print(f"{'all':15} {total:>10,} tries  {found} found")
    return 1 if found else 0


def fuzz(name: str, seconds: int) -> tuple[int, str | None]:
    """Run one parser; return the number of tries, and what was found."""
    kept = CORPUS / name
    with tempfile.TemporaryDirectory() as folder:
        # What libFuzzer adds for coverage alone is not kept.
        seeds, artifacts = Path(folder) / "seeds", Path(folder) / "artifacts"
        seeds.mkdir()
        artifacts.mkdir()
        for number, seed in enumerate(SEEDS[name]):
            (seeds / str(number)).write_bytes(seed)
        limits = ["-max_len=4096", "-timeout=10", "-rss_limit_mb=2048", f"-max_total_time={seconds}", "-print_final_stats=1"]
        process = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.harness", name, *limits, f"-artifact_prefix={artifacts}/"),
                *map(str, filter(Path.exists, (seeds, kept))),
            ],
            capture_output=True,
            check=False,
            text=True,
            errors="replace",
        )
        tries = max((int(match[1] or match[2]) for match in _DONE.finditer(process.stderr)), default=0)
        if process.returncode == 0:
            return tries, None
        kept.mkdir(parents=True, exist_ok=True)
        for artifact in artifacts.iterdir():
            (kept / artifact.name).write_bytes(artifact.read_bytes())
        said = _ERROR.findall(process.stderr + process.stdout)
        return tries, said[-1][:200] if said else f"exit code {process.returncode}"


if __name__ == "__main__":
    sys.exit(main())
