"""Who asked for a drawer to be opened, what came of it, and what the drawers themselves showed.

All of it is in the audit trail: a request under the subject `opening DEVICE/REQUEST`, a sight of a
drawer under `drawer DEVICE/DRAWER`.
"""

import json
from dataclasses import dataclass

from sqlalchemy import Connection, select

from dispensed.ledger import inbox
from dispensed.ledger import tables as t
from dispensed.ledger.stamp import Details, Stamp, audit

ASKED = "drawer.asked"
OPENED = "drawer.opened"
FAILED = "drawer.failed"
DETAIL_MAX = 500
"""Most characters of an error that are kept."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How a request stands: `outcome` is `opened`, `nothing_done`, or `unknown`."""

    drawer: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Sight:
    """What a drawer showed; `request_id` is the request that opened it, "" for none."""

    device: str
    drawer: str
    verb: str
    request_id: str


def find(tx: Connection, device: str, request_id: str) -> Opening | None:
    """Return how a request stands; None when it was never made."""
    events = t.audit_event.c
    rows = tx.execute(
        select(events.verb, events.details)
        .where(events.subject == _subject(device, request_id))
        .order_by(events.id)
    ).all()
    if not rows:
        return None
    last = rows[-1]
    details = json.loads(last.details)
    outcome = "unknown"
    if last.verb == OPENED:
        outcome = "opened"
    elif last.verb == FAILED and details["moved"] == "no":
        outcome = "nothing_done"
    return Opening(details["drawer"], outcome)


def ask(tx: Connection, device: str, drawer: str, request_id: str, stamp: Stamp) -> None:
    """Note a request before its command is sent."""
    audit(tx, stamp, ASKED, _subject(device, request_id), {"drawer": drawer})


def settle(
    tx: Connection, device: str, request_id: str, stamp: Stamp, *, outcome: dict[str, str]
) -> None:
    """Note what came of a request: `drawer`, and for a failure `moved` and `error`."""
    verb = FAILED if "error" in outcome else OPENED
    kept = {key: value[:DETAIL_MAX] for key, value in outcome.items()}
    audit(tx, stamp, verb, _subject(device, request_id), kept)


def sight(tx: Connection, seen: Sight, stamp: Stamp, *, inbox_id: int) -> bool:
    """Note what a drawer showed in a stored message; False when that was noted before."""
    key = f"drawer:{inbox_id}:{seen.drawer}"
    if not inbox.effect_once(tx, seen.device, key, inbox_id, stamp):
        return False
    details: Details = {"request_id": seen.request_id, "inbox_id": inbox_id}
    audit(tx, stamp, seen.verb, f"drawer {seen.device}/{seen.drawer}", details)
    return True


def _subject(device: str, request_id: str) -> str:
    return f"opening {device}/{request_id}"
