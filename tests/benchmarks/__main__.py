"""`python -m tests.benchmarks [OPTIONS] [ledger|fleet|asof|tamper]`: a line a figure.

`ledger` measures each kind of work S seconds, `fleet` runs 200 devices for M minutes. Only when
asked for: `asof` looks at the balances of N instants in a journal of M movements, `tamper` flips F
bytes of stored movements and counts those that `verify` does not name.
"""

import argparse

from tests.benchmarks import asof, fleet, ledger, tamper


def main() -> None:
    """Measure what was asked for, everything unless told otherwise."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--movements", type=int, default=1_000_000)
    parser.add_argument("--instants", type=int, default=1000)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("what", nargs="?", choices=["ledger", "fleet", "asof", "tamper"])
    given = parser.parse_args()
    wanted = [given.what] if given.what else ["ledger", "fleet"]
    if "ledger" in wanted:
        ledger.both(given.seconds)
    if "fleet" in wanted:
        fleet.measure(given.minutes)
    if "asof" in wanted:
        asof.both(given.movements, given.instants)
    if "tamper" in wanted:
        tamper.measure(given.flips)


if __name__ == "__main__":
    main()
