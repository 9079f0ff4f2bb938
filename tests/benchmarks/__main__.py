"""`python -m tests.benchmarks [--seconds S] [--minutes M] [ledger|fleet]`: a line a figure.

`ledger` measures each kind of work S seconds, `fleet` runs 200 devices for M minutes.
"""

import argparse

from tests.benchmarks import fleet, ledger


def main() -> None:
    """Measure what was asked for, everything unless told otherwise."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("what", nargs="?", choices=["ledger", "fleet"])
    given = parser.parse_args()
    wanted = [given.what] if given.what else ["ledger", "fleet"]
    if "ledger" in wanted:
        ledger.both(given.seconds)
    if "fleet" in wanted:
        fleet.measure(given.minutes)


if __name__ == "__main__":
    main()
