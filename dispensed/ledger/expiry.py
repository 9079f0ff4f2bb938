"""Expiry flags: one per lot, place and tier, for ever."""

from sqlalchemy import insert, select

from dispensed.ledger.engine import Tx
from dispensed.ledger.stamp import Stamp, audit
from dispensed.ledger.tables import expiry_flag


def flag_once(
    tx: Tx, item_id: str, lot: str, location_id: str, tier_days: int, stamp: Stamp
) -> bool:
    """Flag a lot at a place for a tier of days left; False when that was done before."""
    key = {"item_id": item_id, "lot": lot, "location_id": location_id, "tier_days": tier_days}
    known = select(expiry_flag.c.actor).filter_by(**key)
    if tx.execute(known).first() is not None:
        return False
    tx.execute(insert(expiry_flag), {**key, "actor": stamp.actor, "recorded_at": stamp.at})
    audit(tx, stamp, "flagged", f"lot {item_id}/{lot}@{location_id}", {"tier_days": tier_days})
    return True
