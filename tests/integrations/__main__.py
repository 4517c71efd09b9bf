"""Runs the adapters' tests, each framework in an environment of its own: `make frameworks ARGS=openai_agents`."""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from .environments import BOUNDS, Bound, Outcome, run
from .frameworks import Framework, frameworks

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """0: nothing failed. What could not be run for want of a network is named in the last line, and is no failure."""
    known = {framework.name: framework for framework in frameworks()}
    ours, for_pytest = _divided(arguments)
    parser = _parser(list(known))
    options = parser.parse_args(ours)
    if unknown := set(options.framework) - set(known):
        parser.error(f"no framework is called {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    chosen = [known[name] for name in options.framework or known]
    bounds: tuple[Bound, ...] = (options.bound,) if options.bound else BOUNDS
    work = [(framework, bound) for framework in chosen for bound in bounds]
    with ThreadPoolExecutor(options.workers) as workers:
        outcomes = list(workers.map(lambda one: _told(one[0], one[1], for_pytest), work))
    failed = [_name(outcome) for outcome in outcomes if outcome.fault]
    missing = [f"{_name(outcome)} ({outcome.not_run})" for outcome in outcomes if outcome.not_run]
    passed = sum(outcome.passed for outcome in outcomes)
    ran = len(outcomes) - len(missing)
    parts = [f"{passed} tests passed in {ran} environments", f"failed: {', '.join(failed) or 'none'}"]
    print("; ".join([*parts, f"not run: {', '.join(missing) or 'none'}"]))  # noqa: T201  # the command's answer
    return 1 if failed else 0


def _told(framework: Framework, bound: Bound, arguments: list[str]) -> Outcome:
    """Runs one, and prints a line about it as soon as it is done."""
    outcome = run(framework, bound, arguments)
    told = f"not run: {outcome.not_run}" if outcome.not_run else f"{outcome.passed} passed"
    what = f"FAILED: {outcome.fault}" if outcome.fault else told
    print(f"{_name(outcome)}: {framework.package} {outcome.version}: {what}", flush=True)  # noqa: T201
    return outcome


def _divided(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What comes before ``--``, and what comes after it."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return [*arguments[:at]], [*arguments[at + 1 :]]


def _name(outcome: Outcome) -> str:
    return f"{outcome.framework} {outcome.bound}"


def _parser(names: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make frameworks ARGS=", description=__doc__, epilog="What follows -- is for pytest."
    )
    parser.add_argument("framework", nargs="*", help=", ".join(names))
    parser.add_argument("--oldest", dest="bound", action="store_const", const="oldest", help="only the oldest version")
    parser.add_argument("--newest", dest="bound", action="store_const", const="newest", help="only the newest version")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="how many are run at once")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
