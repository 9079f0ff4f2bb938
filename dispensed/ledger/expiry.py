"""Expiry flags: kept in the audit trail, one per lot, place and tier."""

from sqlalchemy import select

from dispensed.ledger.engine import Tx
from dispensed.ledger.stamp import Stamp, audit
from dispensed.ledger.tables import audit_event


def flag_once(
    tx: Tx, item_id: str, lot: str, location_id: str, tier_days: int, stamp: Stamp
) -> bool:
    """Flag a lot at a place for a tier; False when that was done before."""
    subject = f"expiry {item_id}/{lot}@{location_id}/{tier_days}"
    query = select(audit_event.c.id).where(
        audit_event.c.subject == subject, audit_event.c.verb == "flagged"
    )
    if tx.execute(query.limit(1)).first() is not None:
        return False
    audit(tx, stamp, "flagged", subject, {"tier_days": tier_days})
    return True
