"""Many random lives of a pharmacy, spread over all cores; a failure is told as its story."""

import logging
import sys
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed

import structlog

from tests.system.test_pharmacy_machine import live

AT_ONCE = 250
"""Lives that one worker lives under one seed."""


def live_all(examples: int, *, first_seed: int, workers: int) -> int:
    """Live so many lives; returns 1 when the ledger of one was not what it should be."""
    parts = [min(AT_ONCE, examples - at) for at in range(0, examples, AT_ONCE)]
    failed = lived = 0
    with ProcessPoolExecutor(workers) as pool:
        waiting = {
            pool.submit(_some, first_seed + number, count): (first_seed + number, count)
            for number, count in enumerate(parts)
        }
        for done in as_completed(waiting):
            seed, count = waiting[done]
            story = done.result()
            lived += count
            failed += bool(story)
            sys.stderr.write(f"pharmacy: {lived} of {examples} lives, {failed} seeds failed\n")
            if story:
                sys.stderr.write(f"seed {seed}, {count} lives:\n{story}\n")
    return int(bool(failed))


def _some(seed: int, examples: int) -> str:
    """Live some lives; returns the story of a failure, "" when there is none."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        live(examples, chosen=seed)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return "\n".join([*traceback.format_exception(error), *getattr(error, "__notes__", ())])
    return ""
