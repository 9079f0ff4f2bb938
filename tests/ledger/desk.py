"""A site on any ledger, with a clock that a test sets and no machines, for use cases by hand."""

from datetime import datetime, timedelta

from dispensed.ledger import post
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.post import Move
from dispensed.model.movement import MovementKind
from dispensed.services.changes import Changes
from dispensed.services.site import Site
from tests.ledger.book import ITEM, LOT, NOW, STAMP, TODAY
from tests.system.web_bench import ZONE, NoMachines, SetClock


def desk(store: Store, at: datetime = NOW) -> tuple[Site, SetClock]:
    """Return a site on a ledger and its clock."""
    clock = SetClock(at)
    return Site(store, clock, ZONE, NoMachines(), Changes()), clock


class Journal:
    """Posts movements of whole units with request ids of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._number = 0

    def __call__(  # noqa: PLR0913 - a movement is these facts
        self,
        kind: MovementKind,
        source: str,
        target: str,
        units: int,
        *,
        item_id: str = ITEM,
        lot: str = LOT,
        at: datetime = NOW,
        dispense_id: int | None = None,
        fact: bool = False,
    ) -> int:
        """Post one movement, or book it as a fact; returns its number."""
        self._number += 1
        move = Move(
            kind=kind,
            item_id=item_id,
            lot=lot,
            source=source,
            target=target,
            milli=units * 1000,
            request_id=f"journal:{self._number}",
            occurred_at=at,
            dispense_id=dispense_id,
        )

        def write(tx: Tx) -> int:
            if fact:
                return post.post_fact(tx, move, STAMP).movement_ids[0]
            return post.post(tx, move, STAMP, on_date=TODAY).movement_id

        return self._store.write_sync(write)


def days(number: int) -> timedelta:
    """Return a span of days."""
    return timedelta(days=number)
