"""`python -m tests.input --documents 100000`: the flood at length, and a line of what came of it per provider."""

from __future__ import annotations

import argparse

from tests.support.postgres import postgres_server

from .flood import pour


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.input", description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000, metavar="N", help="so many for each provider")
    wanted = parser.parse_args().documents
    with postgres_server() as server, server.fresh_database() as database:
        tallies = pour(database.migrate(), wanted)
    for kind, tally in tallies.items():
        print(f"{kind}: {tally.documents} documents, {tally.refused} refused, {tally.equal} equal")  # noqa: T201


if __name__ == "__main__":
    main()
