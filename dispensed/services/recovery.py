"""What is done once at start-up, before any device is touched."""

from dataclasses import dataclass

import structlog

from dispensed.ledger import dispenses, picking, post
from dispensed.ledger.engine import Tx
from dispensed.model.dispensing import DispenseState
from dispensed.services import carrying, inbox
from dispensed.services.site import Site

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

ACTOR = "recovery"
REASON = "the daemon stopped while a machine was at work"


@dataclass(frozen=True, slots=True)
class Recovered:
    """How much was found unfinished: messages applied, dispenses put in doubt, plans withdrawn."""

    messages: int
    in_doubt: int
    withdrawn: int


async def recover(site: Site) -> Recovered:
    """Apply stored messages, put commanded dispenses in doubt and withdraw plans never commanded.

    Afterwards every reservation is settled, voided, broken or in doubt, except those of fills that
    a person counts by hand. Nothing is sent to a device; calling it again changes nothing.
    """
    messages = await inbox.apply_pending(site)
    doubts, withdrawn = await site.store.write(lambda tx: _doubt_and_withdraw(tx, site))
    found = Recovered(messages, doubts, withdrawn)
    log.info("recovery.finished", messages=messages, dispenses_in_doubt=doubts, withdrawn=withdrawn)
    return found


def _doubt_and_withdraw(tx: Tx, site: Site) -> tuple[int, int]:
    doubts = withdrawn = 0
    for row in dispenses.in_states(tx, (DispenseState.COMMANDED, DispenseState.RESERVED)):
        if row.state is DispenseState.COMMANDED and row.device_id is not None:
            carrying.doubt(tx, site, row.id, REASON)
            doubts += 1
        elif row.state is DispenseState.RESERVED:
            stamp = site.stamp(ACTOR, REASON)
            for hold in picking.holds(tx, row.id, active=True):
                post.release(tx, hold.reservation_id, stamp)
            dispenses.set_state(tx, row.id, DispenseState.REQUESTED, stamp, note=REASON)
            withdrawn += 1
    return doubts, withdrawn
