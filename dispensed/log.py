"""Structured logging: one line per finished operation, to standard output, without personal data.

An event is a literal `noun.verb_past`; its values are keywords. Only keys of ALLOWED_KEYS are
written: a patient's name given by mistake has no key to be written under. The log is not the audit
trail; that is the ledger.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_STRUCTURE = "event level timestamp logger exception stack dropped"
_BOUND_IDS = "actor_id device_id dispense_id inbox_id job_id request_id"
_FACTS = """
    attempts bytes capability code count cron database difference_milli discrepancy_id
    dispenses_in_doubt due elapsed_ms error events file from_state head_hash host item_id job
    key kind line location_id lot messages method milli movement_id name note order_id parts
    path pid port proposal_id protocol qty_milli raw reason recall_id result retry_s revision
    rows signal since slot source state status target timeout_s to_state topic url version
    weigh_result withdrawn workers
"""
ALLOWED_KEYS = frozenset(f"{_STRUCTURE} {_BOUND_IDS} {_FACTS}".split())
"""Every key that may be written; `name` is that of a device, job or token, never a person's."""

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_QUIET = {"asyncua": "error", "uvicorn.access": "warning", "apscheduler": "warning"}
"""Libraries whose routine lines say nothing to a pharmacy.

The warnings of asyncua repeat what the drivers report; its debug lines would show passwords.
"""
_FAREWELL = "raised during disconnect"


def configure(
    level: Literal["debug", "info", "warning", "error"] = "info",
    style: Literal["json", "console"] = "json",
    stream: TextIO | None = None,
) -> None:
    """Set up structlog and the standard library's logging; may be called again."""
    target = stream if stream is not None else sys.stdout
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        drop_unknown_keys,
        plain_values,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=target.isatty())
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(_says_something)
    logging.basicConfig(level=LEVELS[level], handlers=[handler], force=True)
    for name, quiet in _QUIET.items():
        logging.root.manager.getLogger(name).setLevel(max(LEVELS[quiet], LEVELS[level]))


@contextmanager
def bound(**ids: str | int) -> Iterator[None]:
    """Put `ids` on every line logged inside the block, in this task and those it starts."""
    with structlog.contextvars.bound_contextvars(**ids):
        yield


def drop_unknown_keys(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Keep only allowed keys; the names of the others are listed under `dropped`."""
    del logger, method
    kept = {key: value for key, value in event.items() if _is_allowed(key)}
    dropped = sorted(key for key in event if not _is_allowed(key))
    if dropped:
        kept["dropped"] = dropped
    return kept


def plain_values(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Write bytes as hex and enumerations as their value."""
    del logger, method
    return {key: _plain(value) for key, value in event.items()}


def _says_something(record: logging.LogRecord) -> bool:
    """Whether a library's line is more than a lost line's failed farewell."""
    return record.name != "asyncua.client.client" or _FAREWELL not in str(record.msg)


def _is_allowed(key: str) -> bool:
    """Keys with a leading underscore belong to structlog and are removed by it."""
    return key in ALLOWED_KEYS or key.startswith("_")


def _plain(value: object) -> object:
    match value:
        case bytes() | bytearray():
            return value.hex(" ")
        case Enum():
            return str(value.value)
        case _:
            return value
