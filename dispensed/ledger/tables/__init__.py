"""Every table of the ledger in one MetaData, with the types that keep time and quantity exact.

Quantities are integers in thousandths of the item's unit (`milli`), times are aware UTC, expiry is
a date. Triggers that keep tables append-only are made by the migrations. One module per capability.
"""

from dispensed.ledger.tables.columns import METADATA
from dispensed.ledger.tables.journal import (
    GENESIS_HASH,
    IS_NEW,
    ZERO,
    api_token,
    audit_event,
    balance,
    chain_head,
    discrepancy,
    dispense,
    effect,
    expiry_flag,
    inbox,
    is_external,
    item,
    job_run,
    location,
    lot,
    movement,
    proposal,
    recall_case,
    receipt,
    reorder_policy,
    reservation,
    unbooked,
)
from dispensed.ledger.tables.repack import lot_origin

SCHEMA_REVISION = "0008"
"""The newest migration; a store opens a database at exactly this revision."""

__all__ = [
    "GENESIS_HASH",
    "IS_NEW",
    "METADATA",
    "SCHEMA_REVISION",
    "ZERO",
    "api_token",
    "audit_event",
    "balance",
    "chain_head",
    "discrepancy",
    "dispense",
    "effect",
    "expiry_flag",
    "inbox",
    "is_external",
    "item",
    "job_run",
    "location",
    "lot",
    "lot_origin",
    "movement",
    "proposal",
    "recall_case",
    "receipt",
    "reorder_policy",
    "reservation",
    "unbooked",
]
