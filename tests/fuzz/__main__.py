"""`python -m tests.fuzz`: damaged frames for every codec, and a JSON result.

With `--examples` it lives random lives of a whole pharmacy instead.
"""

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.engine import Result, fuzz
from tests.fuzz.lives import live_all
from tests.fuzz.rows import ROWS, missing

FRAMES = 1_000_000


def _one(name: str, frames: int, seed: int) -> Result:
    def progress(done: int) -> None:
        sys.stderr.write(f"  {name}: {done * 100 // frames} %\n")

    return fuzz(name, ROWS[name](), frames, seed=seed, progress=progress)


def main() -> int:
    """Fuzz the codecs asked for, or all; returns 1 when one misbehaved or has no row."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="CODEC", help="a name, or its beginning")
    parser.add_argument("--frames", type=int, default=FRAMES, help="damaged frames per codec")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    parser.add_argument("--examples", type=int, default=0, help="lives of a pharmacy instead")
    given = parser.parse_args()
    if given.examples:
        return live_all(given.examples, first_seed=given.seed, workers=given.workers)
    names = [name for name in ROWS if not given.names or any(map(name.startswith, given.names))]
    results = []
    with ProcessPoolExecutor(given.workers) as pool:
        waiting = [pool.submit(_one, name, given.frames, given.seed) for name in names]
        for done in as_completed(waiting):
            result = done.result()
            results.append(result)
            sys.stderr.write(
                f"{result.name}: {result.frames} frames, {result.refused} refused,"
                f" {result.booked} booked, {result.wrong} wrong, {result.errors} other errors,"
                f" {result.single_wrong} wrong single readings, {result.seconds:.0f} s\n"
            )
    results.sort(key=lambda each: names.index(each.name))
    left_out = [] if given.names else missing()
    text = json.dumps(
        {
            "frames": given.frames,
            "seed": given.seed,
            "missing": left_out,
            "codecs": [asdict(each) for each in results],
        },
        indent=2,
    )
    if given.json:
        given.json.write_text(text + "\n", encoding="utf-8")
    else:
        sys.stdout.write(text + "\n")
    return int(bool(left_out) or any(each.wrong or each.errors for each in results))


if __name__ == "__main__":
    sys.exit(main())
