"""A coverage-guided fuzzer on every target in turn: it changes inputs so that they reach code nobody has reached yet.

Needs atheris, which `make fuzz` puts beside the other packages. Each target runs in a process of its own, since the
fuzzer ends its process; what it learns is kept in a folder between runs.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import re
import subprocess
import sys
import time
from pathlib import Path

import structlog

CORPUS = Path(".hypothesis/corpus")
"""Beside what Hypothesis keeps of its own, and as little a part of the repository."""
TRACED = ["config", "connectors", "worker.demo.sales", "worker.links.table", "msgspec", "csv", "tomllib", "json"]


def drive(name: str, seconds: int) -> None:
    """Fuzz one target; does not return."""
    atheris = importlib.import_module("atheris")
    # A line for each retry would be most of the work.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with atheris.instrument_imports(include=TRACED):
        targets = importlib.import_module("tests.fuzz.targets")
    target = targets.TARGETS[name]
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (folder / f"seed-{number}").write_bytes(seed)
    arguments = [
        sys.argv[0],
        str(folder),
        f"-max_total_time={seconds}",
        "-max_len=8192",
        "-timeout=10",
        f"-artifact_prefix={folder}-found-",
        "-print_final_stats=1",
    ]
    atheris.Setup(arguments, target.try_out)
    atheris.Fuzz()


def run(name: str, seconds: int) -> bool:
    """Fuzz one target in a process of its own and say what came of it; whether nothing was found."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--target", name, "--seconds", str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    said = done.stdout.decode("utf-8", "replace")
    executed = re.search(r"stat::number_of_executed_units:\s*(\d+)", said)
    reached = re.findall(r"cov: (\d+) ft: (\d+)", said)
    inputs = len(list((CORPUS / name).glob("*")))
    branches, features = reached[-1] if reached else ("?", "?")
    sys.stdout.write(
        f"{name:<18} {int(executed[1]) if executed else 0:>9,} executions {time.monotonic() - began:>4.0f} s   "
        f"corpus {inputs:>5,}   edges {branches:>5}   features {features:>6}   "
        f"{'nothing found' if done.returncode == 0 else 'FOUND SOMETHING'}\n"
    )
    sys.stdout.flush()
    if done.returncode:
        sys.stdout.write(said[-4000:])
    return done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=int, default=300, help="for all targets together, or for the one named")
    parser.add_argument("--target", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.target:
        drive(arguments.target, arguments.seconds)
        return
    names = list(importlib.import_module("tests.fuzz.targets").TARGETS)
    share = max(5, arguments.seconds // len(names))
    fine = [run(name, share) for name in names]
    raise SystemExit(0 if all(fine) else 1)


if __name__ == "__main__":
    main()
