"""Fills a ledger with a long journal quickly: rows as `journal.append` writes them, many at once.

The hashes are those of `movement_hash`, the balances are written at the end; `verify` is clean.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import insert, update

from dispensed.ledger import catalog
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Tx
from dispensed.ledger.journal import movement_hash
from dispensed.ledger.stamp import Stamp
from dispensed.model.catalog import (
    ExpirySource,
    Item,
    Location,
    LocationKind,
    Lot,
    LotState,
)
from dispensed.model.movement import MovementKind as K
from dispensed.model.quantity import Unit

BEGAN = datetime(2025, 11, 22, 6, 0, tzinfo=UTC)
YEAR = timedelta(days=365)
ITEMS, LOTS, BINS, BINS_OF_ITEM = 200, 3, 40, 3
CHUNK = 10_000
LATE_SHARE = 20
"""One of so many movements is recorded up to three days after it occurred."""
STAMP = Stamp("bulk", BEGAN, "set up")


class Step(NamedTuple):
    """One movement before it has a number."""

    kind: K
    item_id: str
    lot: str
    source: str
    target: str
    milli: int
    occurred_at: datetime
    recorded_at: datetime


def fill(tx: Tx, movements: int, *, seed: int = 1) -> None:
    """Write so many movements of a year into an empty ledger."""
    _furnish(tx)
    on_hand: dict[tuple[str, str, str], int] = defaultdict(int)
    last, rows = t.GENESIS_HASH, []
    for number, step in enumerate(_steps(movements, random.Random(seed), on_hand), start=1):
        row: dict[str, object] = {
            **step._asdict(),
            "kind": step.kind.value,
            "id": number,
            "actor": "bulk",
            "reason": "",
            "request_id": f"bulk:{number}",
            "dispense_id": None,
            "inbox_id": None,
            "claim_id": None,
            "reverses": None,
            "prev_hash": last,
        }
        row["hash"] = last = movement_hash(row)
        rows.append(row)
        if len(rows) == CHUNK or number == movements:
            tx.execute(insert(t.movement), rows)
            rows = []
    tx.execute(update(t.chain_head).values(last_id=movements, hash=last))
    balances = [
        {
            "item_id": item_id,
            "lot": lot,
            "location_id": place,
            "on_hand": milli,
            "held": 0,
            "external": t.is_external(place),
            "recorded_at": BEGAN,
        }
        for (item_id, lot, place), milli in on_hand.items()
    ]
    tx.execute(insert(t.balance), balances)


def _furnish(tx: Tx) -> None:
    for number in range(BINS):
        catalog.put_location(tx, Location(f"bin/{number:02}", LocationKind.BIN), STAMP)
    catalog.put_location(tx, Location("fill", LocationKind.FILL), STAMP)
    for number in range(ITEMS):
        item_id = f"item-{number:03}"
        catalog.put_item(tx, Item(item_id, item_id, "", "", "", Unit.EA, 100_000), STAMP)
        for lot in range(LOTS):
            expiry = date(2027, 1 + lot, 28)
            known = Lot(item_id, f"L{lot}", expiry, ExpirySource.TYPED, LotState.RELEASED)
            catalog.put_lot(tx, known, STAMP)


def _steps(
    movements: int, chance: random.Random, on_hand: dict[tuple[str, str, str], int]
) -> Iterator[Step]:
    for number in range(movements):
        recorded = BEGAN + YEAR * number / movements
        late = chance.randrange(3 * 86_400) if chance.randrange(LATE_SHARE) == 0 else 2
        item = chance.randrange(ITEMS)
        item_id, lot = f"item-{item:03}", f"L{chance.randrange(LOTS)}"
        first, second = item + chance.randrange(BINS_OF_ITEM), item + chance.randrange(BINS_OF_ITEM)
        places = f"bin/{first % BINS:02}", f"bin/{second % BINS:02}"
        kind, source, target = K.TRANSFER, *places
        if chance.randrange(4) == 0:
            kind, target = K.PICK, "fill"
        elif chance.randrange(4) == 0:
            kind, source, target = K.DISPENSE, "fill", "ext:dispensed"
        milli = 1000 * chance.randrange(1, 31)
        there = on_hand[item_id, lot, source]
        if there < milli or source == target:
            kind, source, target, milli = K.OPENING, "ext:opening", places[0], 300_000
        on_hand[item_id, lot, source] -= milli
        on_hand[item_id, lot, target] += milli
        occurred = recorded - timedelta(seconds=late)
        yield Step(kind, item_id, lot, source, target, milli, occurred, recorded)
