"""Robot events with lost and doubled frames: the end is equal, or covered exactly.

A thousand events in the suite; `DISPENSED_ROBOT_EVENTS=10000` asks for more.
"""

import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import islice

from dispensed.ledger import audit, catalog, inbox, post, read
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.post import Move, Stamp
from dispensed.model.catalog import ExpirySource, Item, Lot, LotState
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import Unit
from dispensed.services import booking, reconciling
from dispensed.services.booking import Message
from drivers.facts import InputReported, OutputReported, OutputStatus, Pack
from tests.ledger.book import NOW, ROBOT, TODAY
from tests.system.count_bench import Pharmacy, open_pharmacy

EVENTS = int(os.environ.get("DISPENSED_ROBOT_EVENTS", "1000"))
BATCH = 500
ITEMS = 40
LOTS = 3
PACK_MILLI = 30_000
LOST = DOUBLED = 0.01

Frame = tuple[str, InputReported | OutputReported]


@dataclass
class Truth:
    """A robot that knows what it holds, and a line that loses and doubles what it says."""

    rng: random.Random
    packs: dict[str, Pack] = field(default_factory=dict)
    fates: Counter[str] = field(default_factory=Counter)
    number: int = 0

    def stock(self) -> dict[tuple[str, str], int]:
        held: dict[tuple[str, str], int] = defaultdict(int)
        for pack in self.packs.values():
            held[pack.article, pack.lot] += PACK_MILLI
        return held

    def frames(self) -> Iterator[Frame]:
        """Say what happens, one event after the other, as it arrives."""
        while True:
            self.number += 1
            frame = self._event()
            fate = self.rng.random()
            if fate < LOST:
                self.fates["lost"] += 1
                continue
            yield f"m{self.number}", frame
            if fate < LOST + DOUBLED:
                self.fates["doubled"] += 1
                # A doubled frame comes under its own key, or under another one with the same pack.
                again = f"m{self.number}" + self.rng.choice(("", "-again"))
                yield again, frame

    def _event(self) -> InputReported | OutputReported:
        if self.packs and self.rng.random() < 0.45:
            pack = self.packs.pop(self.rng.choice(tuple(islice(self.packs, 50))))
            return OutputReported(f"manual-{self.number}", OutputStatus.COMPLETED, (pack,))
        item = self.rng.randrange(ITEMS)
        lot = f"L{self.rng.randrange(LOTS)}"
        pack = Pack(f"p{self.number}", f"item{item:02}", lot, TODAY + timedelta(days=400))
        self.packs[pack.pack_id] = pack
        return InputReported(pack)


def furnish(tx: Tx, stamp: Stamp) -> None:
    """Add items and lots, with enough of each in receiving."""
    for number in range(ITEMS):
        item = Item(f"item{number:02}", f"Item {number}", "", "", "", Unit.EA, PACK_MILLI)
        catalog.put_item(tx, item, stamp)
        for lot in range(LOTS):
            expiry = date(2027, 12, 27)
            row = Lot(item.item_id, f"L{lot}", expiry, ExpirySource.SCANNED, LotState.RELEASED)
            catalog.put_lot(tx, row, stamp)
            move = Move(
                kind=MovementKind.RECEIVE,
                item_id=item.item_id,
                lot=row.lot,
                source="ext:supplier",
                target="receiving",
                milli=PACK_MILLI * 1000,
                request_id=f"r:{number}:{lot}",
                occurred_at=NOW,
            )
            post.post(tx, move, stamp, on_date=TODAY)


def book_frames(tx: Tx, shop: Pharmacy, frames: list[Frame]) -> None:
    """Store and apply frames as the inbox does, many in one write."""
    at = shop.clock.at
    stamp = Stamp(f"device:{ROBOT}", at)
    for key, fact in frames:
        inbox_id, new = inbox.store_message(tx, ROBOT, key, "event", key.encode(), at)
        if new:
            message = Message(inbox_id, ROBOT, ROBOT, at, TODAY)
            inbox.mark_applied(tx, inbox_id, booking.book(tx, message, (fact,), stamp))


async def test_9_after_many_events_every_cell_is_equal_or_covered_by_exactly_one_discrepancy(
    sqlite_url: str,
) -> None:
    with Store.open(sqlite_url) as store:
        shop = open_pharmacy(store)
        await store.write(lambda tx: furnish(tx, Stamp("tess", NOW)))
        truth = Truth(random.Random(7))
        frames = truth.frames()
        while truth.number < EVENTS:
            some = list(islice(frames, BATCH))
            await store.write(lambda tx, some=some: book_frames(tx, shop, some))  # type: ignore[misc] # a default binds it
        shop.machines.robot.packs = [
            *truth.packs.values(),
            *(Pack(f"z{n}", "00071015523", "A12", None) for n in range(3)),
        ]
        (report,) = await reconciling.reconcile(shop.site, ROBOT)
        assert report.settled
        assert truth.fates["lost"] > EVENTS * LOST / 2
        assert truth.fates["doubled"] > EVENTS * DOUBLED / 2
        await assert_equal_or_covered(shop, truth)
        assert (await store.read(audit.verify)).ok


async def assert_equal_or_covered(shop: Pharmacy, truth: Truth) -> None:
    book = await shop.site.store.read(lambda tx: read.book_of(tx, ROBOT))
    really = {**truth.stock(), ("00071015523", "A12"): 90_000}
    differences = {
        key: really.get(key, 0) - book.get(key, 0)
        for key in {*really, *book}
        if really.get(key, 0) != book.get(key, 0)
    }
    records = [row for row in await shop.cases() if row.location_id == ROBOT]
    covered = {(row.item_id, row.lot): row.difference for row in records if row.difference}
    assert len({(row.item_id, row.lot) for row in records}) == len(records)
    assert covered == differences
    assert differences
