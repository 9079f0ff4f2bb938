"""Takes device messages: stored first, then interpreted, then applied exactly once."""

import asyncio

import structlog

from dispensed.errors import DispensedError
from dispensed.ledger import inbox
from dispensed.ledger.engine import StoreProblem
from dispensed.ledger.inbox import InboxRow
from dispensed.services import booking, drawers
from dispensed.services.site import Site
from drivers.base import RawMessage
from drivers.errors import ProtocolError
from drivers.facts import Fact

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

GARBAGE = "garbage"
PENDING_BATCH = 100
RAW_MAX = 16 * 1024 * 1024
"""Longest message that is stored whole; drivers bound theirs far below."""
FINISH_S = 10.0
"""How long a cancelled delivery may take to end; what is left is applied later."""


async def deliver(site: Site, device: str, message: RawMessage) -> None:
    """Store one message and apply it; returns when it is durable.

    A message that cannot be read or booked stays in the inbox with the reason; it never raises for
    that. Raises StoreProblem when the ledger takes no writes. A caller that is cancelled, because
    its link was lost, ends only when what was stored is booked too.
    """
    work = asyncio.ensure_future(_store_and_apply(site, device, message))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait({work}, timeout=FINISH_S)
        if work.done() and (error := work.exception()) is not None:
            log.error("message.not_applied", device_id=device, reason=str(error))  # noqa: TRY400
        raise


async def _store_and_apply(site: Site, device: str, message: RawMessage) -> None:
    received_at = site.now()
    inbox_id, new = await site.store.write(
        lambda tx: inbox.store_message(
            tx, device, message.key, message.kind, message.raw[:RAW_MAX], received_at
        )
    )
    if new:
        drawers.raise_alarms(site, device, await apply(site, inbox_id))


async def apply_pending(site: Site) -> int:
    """Apply every stored message that was not applied yet, oldest first; returns how many."""
    done = 0
    while True:
        rows = await site.store.read(lambda tx: inbox.next_unapplied(tx, PENDING_BATCH))
        for row in rows:
            await apply(site, row.id)
        done += len(rows)
        if len(rows) < PENDING_BATCH:
            return done


async def apply(site: Site, inbox_id: int) -> tuple[Fact, ...]:
    """Interpret and book one stored message, once; returns its facts, none if it was before."""
    row = await site.store.read(lambda tx: inbox.get(tx, inbox_id))
    if row.state != "new":
        return ()
    stamp = site.stamp(f"device:{row.device_id}")
    if row.kind == GARBAGE:
        await site.store.write(lambda tx: inbox.mark_ignored(tx, inbox_id, "garbage"))
        log.warning("message.unread", device_id=row.device_id, bytes=len(row.raw))
        site.changes.notify("messages")
        return ()
    try:
        facts = site.machines.interpreter(row.device_id)(row.raw)
        message = _message(site, row)
        await site.store.write(
            lambda tx: inbox.mark_applied(tx, inbox_id, booking.book(tx, message, facts, stamp))
        )
    except StoreProblem:
        raise
    except (ProtocolError, DispensedError) as error:
        reason = str(error)
        await site.store.write(lambda tx: inbox.mark_unreadable(tx, inbox_id, reason))
        log.exception("message.refused", device_id=row.device_id, inbox_id=inbox_id, reason=reason)
        site.changes.notify("messages")
        return ()
    if facts:
        site.changes.notify("stock", "discrepancies")
    return facts


def _message(site: Site, row: InboxRow) -> booking.Message:
    return booking.Message(
        inbox_id=row.id,
        device=row.device_id,
        location=site.machines.location(row.device_id),
        occurred_at=row.received_at,
        on_date=site.today(),
    )
