"""Opened containers: their own date, what is picked, how they end."""

from datetime import date, timedelta

import pytest

from dispensed.errors import Invalid
from dispensed.ledger import containers, picking, read
from dispensed.ledger.containers import ContainerClosed, UnknownContainer
from dispensed.ledger.engine import Store
from dispensed.ledger.holds import BlockedLot, InsufficientStock
from dispensed.ledger.post import RequestReused
from dispensed.model.catalog import LotState
from dispensed.model.repacking import RepackInvalid
from dispensed.services import opening
from dispensed.services.opening import Open
from dispensed.services.site import Site
from tests.ledger.book import (
    FILL,
    ITEM,
    LOT,
    NOW,
    SHELF,
    SHELF2,
    STAMP,
    TODAY,
    WASTE,
    K,
    blocking,
    move,
    posted,
    stocked,
)
from tests.ledger.desk import desk
from tests.ledger.packing import ON_SQLITE


def _open(name: str = "open", **changes: object) -> Open:
    values: dict[str, object] = {
        "request_id": name,
        "item_id": ITEM,
        "lot": LOT,
        "location": SHELF,
        "rule": "multiple-dose-28-days",
        **changes,
    }
    return Open(**values)  # type: ignore[arg-type] # as named above


def _available(site: Site) -> dict[str, int]:
    today = site.today()
    rows = site.store.read_sync(lambda tx: picking.candidates(tx, ITEM, today))
    return {row.location_id: row.available // 1000 for row in rows}


async def test_an_opened_container_has_the_shorter_of_two_dates(store: Store) -> None:
    site, clock = desk(store)
    store.write_sync(stocked)
    row = await opening.open_container(site, _open(), "tess")
    assert (row.use_by, row.opened_on, row.content_milli, row.left_milli) == (
        date(2026, 12, 20),
        TODAY,
        30_000,
        None,
    )
    assert row.rule_source.startswith("USP <797>")
    clock.at = NOW + timedelta(days=120)  # 22 March, nine days before the lot's expiry
    late = await opening.open_container(site, _open("late"), "tess")
    assert late.use_by == date(2027, 3, 31)
    label = await opening.open_container(site, _open("label", rule=None, days=5), "tess")
    assert (label.use_by, label.rule) == (date(2027, 3, 27), "labelled-5-days")
    dated = _open("dated", opened_on=date(2027, 3, 1), left="12")
    found = await opening.open_container(site, dated, "tess")
    assert (found.use_by, found.left_milli) == (date(2027, 3, 29), 12_000)
    assert await opening.open_container(site, dated, "tess") == found
    with pytest.raises(RequestReused, match="opened container 4"):
        await opening.open_container(site, _open("dated", location=SHELF2), "tess")
    with pytest.raises(RequestReused, match="another container"):
        store.write_sync(
            lambda tx: containers.add(tx, _again(found), request_id="dated", stamp=STAMP)
        )


def _again(row: containers.ContainerRow) -> containers.NewContainer:
    return containers.NewContainer(
        item_id=row.item_id,
        lot=row.lot,
        location_id=row.location_id,
        opened_at=row.opened_at,
        opened_on=row.opened_on,
        rule=row.rule,
        rule_source=row.rule_source,
        use_by=row.use_by,
        content_milli=row.content_milli,
        left_milli=row.left_milli,
    )


async def test_what_is_in_an_expired_container_is_not_picked(store: Store) -> None:
    site, clock = desk(store)
    store.write_sync(lambda tx: stocked(tx, 40))
    row = await opening.open_container(site, _open(), "tess")
    clock.at = NOW + timedelta(days=28)
    assert _available(site) == {SHELF: 40}
    clock.at = NOW + timedelta(days=29)
    assert _available(site) == {SHELF: 10}  # nobody says what is left, so all of a pack of 30
    await opening.state_left(site, row.id, "12.5", "tess")
    assert _available(site) == {SHELF: 27}
    with pytest.raises(Invalid, match="holds 30 EA, 31 cannot be left"):
        await opening.state_left(site, row.id, "31", "tess")
    posted(store, move(K.TRANSFER, SHELF, SHELF2, 30, "t"))
    assert _available(site) == {SHELF2: 30}  # the only stock at the shelf is the opened one
    await opening.close_empty(site, row.id, "tess")
    assert _available(site) == {SHELF: 10, SHELF2: 30}


async def test_an_expired_container_is_flagged_once_and_discarded_as_waste(store: Store) -> None:
    site, clock = desk(store)
    store.write_sync(stocked)
    row = await opening.open_container(site, _open(), "tess")
    other = await opening.open_container(site, _open("other"), "tess")
    assert await opening.scan(site) == ()
    assert await opening.opened(site, expired=True) == ()
    clock.at = NOW + timedelta(days=29)
    flagged = await opening.scan(site)
    assert [(each.id, each.flagged_at) for each in flagged] == [
        (row.id, clock.at),
        (other.id, clock.at),
    ]
    assert await opening.scan(site) == ()
    assert [each.id for each in await opening.opened(site, expired=True)] == [row.id, other.id]
    with pytest.raises(Invalid, match="say why"):
        await opening.discard(site, row.id, "8", " ", "tess")
    with pytest.raises(Invalid, match="31 cannot be wasted"):
        await opening.discard(site, row.id, "31", "expired", "tess")
    done = await opening.discard(site, row.id, "8", "expired", "tess")
    assert (done.state, done.closed_by, done.left_milli) == ("discarded", "tess", 0)
    assert done.movement_id is not None
    assert store.read_sync(lambda tx: read.book_of(tx, WASTE)) == {(ITEM, LOT): 8_000}
    empty = await opening.discard(site, other.id, "0", "expired", "tess")
    assert empty.movement_id is None
    with pytest.raises(ContainerClosed, match="container 1 is discarded"):
        await opening.close_empty(site, row.id, "tess")
    assert [each.id for each in await opening.opened(site, state="discarded")] == [1, 2]
    with pytest.raises(Invalid, match="not one of open, empty, discarded"):
        await opening.opened(site, state="full")
    with pytest.raises(UnknownContainer, match="no opened container 9"):
        await opening.close_empty(site, 9, "tess")


@ON_SQLITE
async def test_a_container_that_cannot_be_open_is_refused(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    for asked, said in (
        (_open(days=28), "either a rule or the days"),
        (_open(rule=None), "either a rule or the days"),
        (_open(opened_on=date(2026, 11, 23)), "cannot be opened on 2026-11-23"),
        (_open(location=FILL), "location fill is a fill"),
        (_open(left="31"), "31 left in a container of 30"),
        (_open(left="0"), "0 left in a container of 30"),
    ):
        with pytest.raises(Invalid, match=said):
            await opening.open_container(site, asked, "tess")
    with pytest.raises(RepackInvalid, match="no rule 'x'; there are multiple-dose-28-days"):
        await opening.open_container(site, _open(rule="x"), "tess")
    with pytest.raises(InsufficientStock, match="nothing there to open"):
        await opening.open_container(site, _open(location=SHELF2), "tess")
    store.write_sync(blocking(LOT, LotState.HOLD))
    with pytest.raises(BlockedLot, match="is hold"):
        await opening.open_container(site, _open(), "tess")
