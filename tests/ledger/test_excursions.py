"""Temperature excursions: exactly the lots that were there, against a replay minute by minute."""

import itertools
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from dispensed.errors import Invalid, NotFound
from dispensed.ledger import audit, catalog, excursions, post
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.excursions import ExcursionEnded, Key, LotInExcursion, LotReleased
from dispensed.ledger.post import BlockedLot
from dispensed.model.catalog import Location, LocationKind, LotState
from dispensed.model.movement import MovementKind
from dispensed.services import excursions as services
from dispensed.services.excursions import Excursion, NewExcursion
from dispensed.services.site import Site
from tests.ledger.book import (
    FILL,
    ITEM,
    LATE_LOT,
    LOT,
    NOW,
    OPENING,
    SHELF,
    STAMP,
    TODAY,
    K,
    furnish,
    move,
    order,
    put_lot,
)
from tests.ledger.desk import Journal, desk

FRIDGE, DOOR, DRAWER = "fridge", "fridge/door", "fridge/drawer"
INSIDE = (DOOR, DRAWER)
MINUTE = timedelta(minutes=1)


def _furnish(tx: Tx) -> None:
    furnish(tx)
    catalog.put_location(tx, Location(FRIDGE, LocationKind.AREA), STAMP)
    for place in INSIDE:
        catalog.put_location(tx, Location(place, LocationKind.BIN, FRIDGE), STAMP)


def ago(minutes: int) -> datetime:
    return NOW - minutes * MINUTE


@pytest.fixture
def journal(store: Store) -> Journal:
    store.write_sync(_furnish)
    return Journal(store)


@pytest.fixture
def site(store: Store) -> Site:
    return desk(store)[0]


async def _record(site: Site, began: int, ended: int | None, place: str = FRIDGE) -> Excursion:
    asked = NewExcursion(
        place,
        ago(began),
        "1.5",
        "11.25",
        "logger 7",
        "door open",
        None if ended is None else ago(ended),
    )
    return await services.record(site, asked, "ada")


def _states(store: Store) -> dict[str, str]:
    rows = store.read_sync(
        lambda tx: tx.execute(
            select(t.lot.c.lot, t.lot.c.state).where(t.lot.c.item_id == ITEM)
        ).all()
    )
    return {row.lot: row.state for row in rows}


def _listed(found: Excursion) -> set[str]:
    return {lot.lot for lot in found.lots}


async def test_what_lay_there_at_any_instant_is_held_and_nothing_else(
    store: Store, journal: Journal, site: Site
) -> None:
    for lot in ("THROUGH", "LEFT", "CAME", "BEFORE", "AFTER", "EDGE"):
        store.write_sync(partial(put_lot, lot=lot, expiry=date(2027, 6, 30)))
    journal(K.OPENING, OPENING, DOOR, 5, lot="THROUGH", at=ago(100))
    journal(K.OPENING, OPENING, DOOR, 5, lot="LEFT", at=ago(100))
    journal(K.TRANSFER, DOOR, SHELF, 5, lot="LEFT", at=ago(40))
    journal(K.OPENING, OPENING, SHELF, 5, lot="CAME", at=ago(100))
    journal(K.TRANSFER, SHELF, DRAWER, 2, lot="CAME", at=ago(30))
    journal(K.OPENING, OPENING, DOOR, 5, lot="BEFORE", at=ago(100))
    journal(K.TRANSFER, DOOR, SHELF, 5, lot="BEFORE", at=ago(61))
    journal(K.OPENING, OPENING, DOOR, 5, lot="AFTER", at=ago(29))
    journal(K.OPENING, OPENING, DOOR, 5, lot="EDGE", at=ago(100))
    journal(K.TRANSFER, DOOR, SHELF, 5, lot="EDGE", at=ago(60))
    found = await _record(site, 60, 30)
    assert _listed(found) == {"THROUGH", "LEFT", "CAME", "EDGE"}
    assert (found.row.observed_min, found.row.observed_max) == ("1.5", "11.25")
    assert {lot for lot, state in _states(store).items() if state == "hold"} == _listed(found)
    with pytest.raises(BlockedLot, match="lot CAME of item 00071015523 is hold"):
        journal(K.PICK, SHELF, FILL, 1, lot="CAME")


async def test_a_lot_is_released_by_a_person_with_a_reason_and_never_past_the_excursion(
    store: Store, journal: Journal, site: Site
) -> None:
    journal(K.OPENING, OPENING, DOOR, 5, at=ago(100))
    first = await _record(site, 60, 50)
    second = await _record(site, 40, 30)
    with pytest.raises(LotInExcursion, match=r"was not released from excursion 1, 2"):
        store.write_sync(lambda tx: catalog.set_lot_state(tx, ITEM, LOT, LotState.RELEASED, STAMP))
    with pytest.raises(Invalid, match="say why"):
        await services.release(site, first.row.id, ITEM, LOT, " ", "ada")
    await services.release(site, first.row.id, ITEM, LOT, "stable 24 h at 25 C", "ada")
    assert _states(store)[LOT] == "hold"
    done = await services.release(site, second.row.id, ITEM, LOT, "stable", "bob")
    assert _states(store)[LOT] == "released"
    assert [(lot.released_by, lot.reason) for lot in done.lots] == [("bob", "stable")]
    with pytest.raises(LotReleased):
        await services.release(site, second.row.id, ITEM, LOT, "stable", "bob")
    with pytest.raises(NotFound, match="has no lot NONE"):
        await services.release(site, second.row.id, ITEM, "NONE", "stable", "bob")
    assert [row.id for row in await services.excursions_of(site)] == [1, 2]


@pytest.mark.parametrize(
    "state", [LotState.RECALLED, LotState.DAMAGED, LotState.QUARANTINE, LotState.HOLD]
)
async def test_a_lot_that_was_blocked_before_keeps_its_state(
    store: Store, journal: Journal, site: Site, state: LotState
) -> None:
    journal(K.OPENING, OPENING, DOOR, 5, at=ago(100))
    store.write_sync(lambda tx: catalog.set_lot_state(tx, ITEM, LOT, state, STAMP))
    found = await _record(site, 60, 30)
    (lot,) = found.lots
    assert (lot.state, lot.state_before, lot.held) == (state, state, False)
    await services.release(site, found.row.id, ITEM, LOT, "stable", "ada")
    assert _states(store)[LOT] == state


async def test_while_it_goes_on_what_arrives_is_held_and_its_end_makes_it_exact(
    store: Store, journal: Journal, site: Site
) -> None:
    found = await _record(site, 60, None)
    assert found.lots == ()
    journal(K.OPENING, OPENING, DRAWER, 5, at=ago(20))
    journal(K.OPENING, OPENING, DOOR, 5, lot=LATE_LOT, at=ago(5))
    assert _states(store) == {LOT: "hold", LATE_LOT: "hold"}
    store.write_sync(partial(put_lot, lot="ELSEWHERE", expiry=date(2027, 6, 30)))
    journal(K.OPENING, OPENING, SHELF, 5, lot="ELSEWHERE", at=ago(5))
    assert _states(store).pop("ELSEWHERE") == "released"
    with pytest.raises(Invalid, match="before it began"):
        await services.end(site, found.row.id, ago(61), "cold again", "ada")
    done = await services.end(site, found.row.id, ago(10), "cold again", "ada")
    assert [(lot.lot, lot.released_by) for lot in done.lots] == [(LOT, None), (LATE_LOT, "ada")]
    assert _states(store) == {LOT: "hold", LATE_LOT: "released", "ELSEWHERE": "released"}
    with pytest.raises(ExcursionEnded):
        await services.end(site, found.row.id, ago(10), "again", "ada")
    journal(K.OPENING, OPENING, DOOR, 1, lot=LATE_LOT, at=NOW)
    assert _states(store)[LATE_LOT] == "released"


async def test_a_movement_that_is_told_late_holds_what_was_there_after_all(
    store: Store, journal: Journal, site: Site
) -> None:
    journal(K.OPENING, OPENING, SHELF, 5, at=ago(100))
    journal(K.OPENING, OPENING, SHELF, 5, lot=LATE_LOT, at=ago(100))
    found = await _record(site, 60, 30)
    assert found.lots == ()
    journal(K.TRANSFER, SHELF, DOOR, 2, at=ago(45))
    journal(K.TRANSFER, SHELF, DOOR, 2, lot=LATE_LOT, at=ago(29))
    assert _listed(await services.excursion(site, found.row.id)) == {LOT}
    journal(K.TRANSFER, SHELF, DRAWER, 1, lot=LATE_LOT, at=ago(80))
    assert _listed(await services.excursion(site, found.row.id)) == {LOT, LATE_LOT}
    assert store.read_sync(audit.verify).ok


async def test_a_balance_that_is_not_above_zero_at_that_time_is_not_there(
    store: Store, journal: Journal, site: Site
) -> None:
    """What left was told before what came: by its time the place owed 5 until 10 minutes ago."""
    journal(K.OPENING, OPENING, DOOR, 5, at=ago(10))
    journal(K.TRANSFER, DOOR, SHELF, 5, at=ago(80))
    found = await _record(site, 60, 30)
    journal(K.TRANSFER, SHELF, DOOR, 2, at=ago(50))
    assert found.lots == (await services.excursion(site, found.row.id)).lots == ()
    assert _states(store)[LOT] == "released"


async def test_what_lay_in_an_excursion_is_promised_to_no_fill(
    store: Store, journal: Journal, site: Site
) -> None:
    journal(K.OPENING, OPENING, DOOR, 30, at=ago(100))
    fill = store.write_sync(order)
    await _record(site, 60, None)
    with pytest.raises(BlockedLot):
        store.write_sync(
            lambda tx: post.reserve(
                tx,
                dispense_id=fill,
                item_id=ITEM,
                lot=LOT,
                location=DOOR,
                milli=1000,
                request_id="r",
                stamp=STAMP,
                on_date=TODAY,
            )
        )


async def test_what_is_no_excursion_is_refused(store: Store, journal: Journal, site: Site) -> None:
    del store, journal
    good = NewExcursion(FRIDGE, ago(60), "9", "11", "logger", "door", ago(30))

    async def refused(said: str, **changed: object) -> None:
        values = {name: getattr(good, name) for name in NewExcursion.__dataclass_fields__}
        with pytest.raises(Invalid, match=said):
            await services.record(site, NewExcursion(**{**values, **changed}), "ada")

    await refused("in the future", ended_at=ago(-1))
    await refused("has no zone", began_at=datetime(2026, 11, 1))  # noqa: DTZ001 - naive on purpose
    await refused("before it began", ended_at=ago(61))
    await refused("not a temperature: 'warm'", observed_max="warm")
    await refused("not a temperature: 'NaN'", observed_min="NaN")
    await refused("not a temperature", observed_min="1" * 17)
    await refused("12 is not below 11", observed_min="12")
    await refused("who or what measured", source=" ")
    await refused("say what happened", reason=" ")
    with pytest.raises(NotFound):
        await services.record(
            site, NewExcursion("cellar", ago(60), "9", "11", "logger", "door"), "ada"
        )
    with pytest.raises(NotFound, match="no excursion 9"):
        await services.excursion(site, 9)


# ---------------------------------------------------------------- against a replay

WAYS = (
    (K.OPENING, OPENING, SHELF),
    (K.OPENING, OPENING, DOOR),
    (K.TRANSFER, SHELF, DOOR),
    (K.TRANSFER, DOOR, DRAWER),
    (K.TRANSFER, DRAWER, SHELF),
    (K.TRANSFER, DOOR, SHELF),
    (K.WASTE, DRAWER, "ext:waste"),
)
STORIES = st.lists(
    st.tuples(st.sampled_from(WAYS), st.integers(0, 1), st.integers(1, 3), st.integers(1, 30)),
    max_size=16,
)
_ROUNDS = itertools.count(1)
Told = tuple[str, str, str, int, int]


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=STORIES, began=st.integers(1, 31), length=st.integers(0, 30))
def test_the_lots_of_an_excursion_are_those_of_a_brute_force_replay(
    store: Store,
    story: list[tuple[tuple[MovementKind, str, str], int, int, int]],
    began: int,
    length: int,
) -> None:
    """Movements occur `minutes` ago in any order; some are refused, those are not told."""
    name = f"R{next(_ROUNDS)}"
    told: list[Told] = []

    def write(tx: Tx) -> None:
        _furnish(tx)
        for number in range(2):
            put_lot(tx, f"{name}-{number}", date(2027, 6, 30))
        for at, ((kind, source, target), which, units, minutes) in enumerate(story):
            lot = f"{name}-{which}"
            at_noon = move(kind, source, target, units, f"{name}:{at}", lot=lot)
            wanted = replace(at_noon, occurred_at=ago(minutes))
            left = post.post_fact(tx, wanted, STAMP).unbooked_milli
            if left:
                post.waive(tx, _claim(tx, wanted.request_id), STAMP)
            if left < wanted.milli:
                told.append((lot, source, target, wanted.milli - left, minutes))

    store.write_sync(write)
    ended = max(0, began - length)
    found = store.read_sync(lambda tx: excursions.present(tx, FRIDGE, ago(began), ago(ended)))
    mine = {key.lot for key in found if key.lot.startswith(f"{name}-")}
    assert mine == _replayed(told, began, ended)
    for lot in mine:
        look = partial(excursions.present, location_id=FRIDGE, only=Key(ITEM, lot))
        alone = store.read_sync(partial(look, began_at=ago(began), ended_at=ago(ended)))
        assert alone == {Key(ITEM, lot)}


def _claim(tx: Tx, request_id: str) -> int:
    query = select(t.unbooked.c.id).where(t.unbooked.c.request_id == request_id)
    return int(tx.execute(query).scalar_one())


def _replayed(told: list[Told], began: int, ended: int) -> set[str]:
    """Walk all movements in the order of their time, and look into the fridge after each."""
    book: dict[tuple[str, str], int] = {}
    there: set[str] = set()

    def look() -> None:
        there.update(lot for (lot, place), milli in book.items() if place in INSIDE and milli > 0)

    by_time = sorted(told, key=lambda one: -one[4])
    looked = False
    for lot, source, target, milli, minutes in by_time:
        if minutes < ended:
            break
        if minutes <= began and not looked:
            look()
            looked = True
        book[lot, source] = book.get((lot, source), 0) - milli
        book[lot, target] = book.get((lot, target), 0) + milli
        if looked:
            look()
    if not looked:
        look()
    return there
