"""Expiry at work: flags, pull list, risk, and batches whose documents equal their movements."""

import contextlib
import csv
import io
import itertools
from collections import Counter
from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from dispensed.errors import Conflict, Invalid, NotFound
from dispensed.ledger import audit, batches, catalog, discrepancies, post, read
from dispensed.ledger import tables as t
from dispensed.ledger.batches import BatchDiffers
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.outdates import TaskDone
from dispensed.model.catalog import LotState
from dispensed.model.movement import MovementKind
from dispensed.model.outdating import BatchState, IllegalBatchStep
from dispensed.services import batching, expiring
from dispensed.services.batching import (
    Batch,
    BatchNotOpen,
    FormMissing,
    NewBatch,
    Pack,
    SecondPersonNeeded,
)
from dispensed.services.expiring import Pulled
from dispensed.services.site import ExpiryOptions, Site
from tests.ledger.book import (
    CONTROLLED,
    DISPENSED,
    FILL,
    FOUND,
    ITEM,
    LATE_LOT,
    LOT,
    NOW,
    OPENING,
    OUTDATE,
    RECEIVING,
    REJECTS,
    ROBOT,
    SHELF,
    SHELF2,
    STAMP,
    TODAY,
    WASTE,
    K,
    furnish,
    move,
    order,
    put_lot,
    stocked,
)
from tests.ledger.desk import Journal, days, desk

EXPIRES = date(2027, 3, 31)
"""The last day of LOT: 129 days after TODAY."""


@pytest.fixture
def journal(store: Store) -> Journal:
    store.write_sync(stocked)
    return Journal(store)


# ---------------------------------------------------------------- tiers


async def test_a_tier_fires_once_per_lot_and_place_also_after_a_restart(
    store: Store, ledger_url: str, journal: Journal
) -> None:
    site, clock = desk(store)
    first = await expiring.expiry_scan(site)
    assert first.flagged == ((ITEM, LOT, SHELF, 180),)
    assert (await expiring.expiry_scan(site)).flagged == ()
    with Store.open(ledger_url, readers=1) as again:
        assert (await expiring.expiry_scan(desk(again)[0])).flagged == ()
    journal(K.TRANSFER, SHELF, SHELF2, 40)
    assert (await expiring.expiry_scan(site)).flagged == ((ITEM, LOT, SHELF2, 180),)
    clock.at = NOW + days(39)  # 90 days left
    assert sorted((await expiring.expiry_scan(site)).flagged) == [
        (ITEM, LOT, SHELF, 90),
        (ITEM, LOT, SHELF2, 90),
    ]


async def test_stock_that_arrives_late_is_flagged_once_with_the_tightest_tier_it_has_passed(
    store: Store, journal: Journal
) -> None:
    site, clock = desk(store, NOW + days(105))  # 24 days left
    assert (await expiring.expiry_scan(site)).flagged == ((ITEM, LOT, SHELF, 30),)
    journal(K.TRANSFER, SHELF, SHELF2, 5)
    assert (await expiring.expiry_scan(site)).flagged == ((ITEM, LOT, SHELF2, 30),)
    clock.at += days(24)
    assert len((await expiring.expiry_scan(site)).flagged) == 2  # the last day, at both places


@pytest.mark.usefixtures("journal")
async def test_the_tiers_are_those_of_the_settings(store: Store) -> None:
    site, _ = desk(store)
    site = replace(site, expiry=ExpiryOptions(tiers_days=(128, 7)))
    assert (await expiring.expiry_scan(site)).flagged == ()
    site = replace(site, expiry=ExpiryOptions(tiers_days=(129, 7)))
    assert (await expiring.expiry_scan(site)).flagged == ((ITEM, LOT, SHELF, 129),)


# ---------------------------------------------------------------- pull list


async def test_expired_stock_comes_on_the_pull_list_once_at_each_place(
    store: Store, journal: Journal
) -> None:
    journal(K.LOAD, SHELF, ROBOT, 30)
    journal(K.TRANSFER, SHELF, OUTDATE, 10)
    site, clock = desk(store, NOW + days(129))
    assert (await expiring.expiry_scan(site)).tasks == ()  # its last day
    clock.at += days(1)
    report = await expiring.expiry_scan(site)
    assert len(report.tasks) == 2
    assert (await expiring.expiry_scan(site)).tasks == ()
    tasks = await expiring.tasks(site)
    assert [(task.location_id, task.milli, task.expiry) for task in tasks] == [
        (ROBOT, 30_000, EXPIRES),
        (SHELF, 60_000, EXPIRES),
    ]
    assert [task.id for task in await expiring.tasks(site, state=None)] == list(report.tasks)
    with pytest.raises(Invalid, match="'late' is not one of open, done, cancelled"):
        await expiring.tasks(site, state="late")


async def test_a_pull_moves_what_was_counted_and_the_rest_is_a_discrepancy(
    store: Store, journal: Journal
) -> None:
    journal(K.TRANSFER, SHELF, SHELF2, 40)
    site, _ = desk(store)
    less, more = await expiring.plan_pulls(site, 130, "", "tess")
    assert await expiring.plan_pulls(site, 130, "", "tess") == ()
    done = await expiring.pull(site, Pulled(less, "58", "p1"), "ada")
    assert (done.state, done.counted_milli, done.done_by) == ("done", 58_000, "ada")
    assert (await expiring.pull(site, Pulled(less, "58", "p1"), "ada")) == done
    await expiring.pull(site, Pulled(more, "41", "p2"), "ada")
    assert store.read_sync(lambda tx: read.book_of(tx, OUTDATE)) == {(ITEM, LOT): 98_000}
    assert _differences(store) == {(SHELF, "count"): -2000, (OUTDATE, "count"): 1000}
    assert await expiring.tasks(site) == ()
    with pytest.raises(TaskDone, match=f"outdate task {less} was done by ada"):
        await expiring.pull(site, Pulled(less, "58", "p3"), "bob")
    assert store.read_sync(audit.verify).ok


def _differences(store: Store) -> dict[tuple[str, str], int]:
    rows = store.read_sync(discrepancies.page)
    return {(row.location_id, row.kind): row.difference for row in rows}


async def test_nothing_found_moves_nothing_and_all_of_it_is_a_discrepancy(
    store: Store, journal: Journal
) -> None:
    del journal
    site, _ = desk(store)
    (task,) = await expiring.plan_pulls(site, 130, "recounted", "tess")
    done = await expiring.pull(site, Pulled(task, "0", "p1"), "ada")
    assert (done.movement_id, done.why) == (None, "recounted")
    assert _differences(store) == {(SHELF, "count"): -100_000}


async def test_what_is_held_for_a_fill_is_not_pulled(store: Store, journal: Journal) -> None:
    del journal
    site, _ = desk(store)

    def hold(tx: Tx) -> None:
        post.reserve(
            tx,
            dispense_id=order(tx),
            item_id=ITEM,
            lot=LOT,
            location=SHELF,
            milli=30_000,
            request_id="r",
            stamp=STAMP,
            on_date=TODAY,
        )

    store.write_sync(hold)
    (task,) = await expiring.plan_pulls(site, 130, "", "tess")
    with pytest.raises(post.InsufficientStock, match="30 EA held"):
        await expiring.pull(site, Pulled(task, "100", "p1"), "ada")
    with pytest.raises(Invalid, match="shelf/A-02 is not a place for outdates"):
        await expiring.pull(site, Pulled(task, "70", "p1", target=SHELF2), "ada")


async def test_what_a_machine_put_out_for_pulling_goes_from_the_tray(
    store: Store, journal: Journal
) -> None:
    journal(K.LOAD, SHELF, ROBOT, 60)
    site, _ = desk(store)
    _, task = sorted(await expiring.plan_pulls(site, 130, "", "tess"), reverse=True)
    fill = store.write_sync(order)
    journal(K.OUTPUT, ROBOT, FILL, 30, fact=True, dispense_id=fill)
    journal(K.OUTPUT, ROBOT, FILL, 30, fact=True)
    done = await expiring.pull(site, Pulled(task, "30", "p1", from_tray=True), "ada")
    assert done.location_id == ROBOT
    assert store.read_sync(lambda tx: read.book_of(tx, FILL)) == {(ITEM, LOT): 30_000}
    assert store.read_sync(lambda tx: read.book_of(tx, OUTDATE)) == {(ITEM, LOT): 30_000}
    assert _differences(store) == {}


async def test_a_task_is_cancelled_with_a_reason(store: Store, journal: Journal) -> None:
    del journal
    site, _ = desk(store)
    (task,) = await expiring.plan_pulls(site, 130, "", "tess")
    with pytest.raises(Invalid, match="say why"):
        await expiring.cancel_pull(site, task, " ", "ada")
    assert (await expiring.cancel_pull(site, task, "sold", "ada")).state == "cancelled"
    with pytest.raises(TaskDone):
        await expiring.cancel_pull(site, task, "sold", "ada")
    with pytest.raises(NotFound):
        await expiring.cancel_pull(site, 99, "sold", "ada")
    with pytest.raises(Invalid, match="-1 days"):
        await expiring.plan_pulls(site, -1, "", "ada")


# ---------------------------------------------------------------- risk


async def test_risk_of_expiry_from_the_demand_of_the_journal(
    store: Store, journal: Journal
) -> None:
    """60 were given in 30 days and 15 came back: 1.5 a day; 129 + 1 days use 195 of 220."""
    journal(K.OPENING, OPENING, SHELF2, 195)  # 295 of the lot
    fill = store.write_sync(lambda tx: order(tx, units=60))
    journal(K.PICK, SHELF, FILL, 60, dispense_id=fill)
    journal(K.DISPENSE, FILL, DISPENSED, 60, dispense_id=fill, at=NOW - days(29))
    journal(K.RETURN_TO_STOCK, DISPENSED, OUTDATE, 15, at=NOW - days(2))
    site, _ = desk(store)
    (row,) = await expiring.risk(site, days=30)
    assert (row.lot, row.milli, row.at_risk_milli) == (LOT, 235_000, 40_000)
    assert row.daily == Fraction(1500)
    assert await expiring.risk(site, item_id=CONTROLLED, days=30) == ()
    (row,) = await expiring.risk(site, days=1)  # nothing was given in the last day
    assert (row.at_risk_milli, row.daily) == (235_000, Fraction(0))
    store.write_sync(lambda tx: catalog.set_lot_state(tx, ITEM, LOT, LotState.HOLD, STAMP))
    assert await expiring.risk(site) == ()
    with pytest.raises(Invalid, match="0 days"):
        await expiring.risk(site, days=0)


@pytest.mark.usefixtures("journal")
async def test_an_expired_lot_or_one_without_a_date_is_not_at_risk_but_blocked(
    store: Store,
) -> None:
    store.write_sync(lambda tx: put_lot(tx, "U1", None))
    dateless = move(K.OPENING, OPENING, SHELF, 1, "u1", lot="U1")
    store.write_sync(lambda tx: post.post(tx, dateless, STAMP, on_date=TODAY))
    site, _ = desk(store, NOW + days(130))
    assert await expiring.risk(site) == ()


# ---------------------------------------------------------------- batches


async def _packed(site: Site, kind: str, *packs: tuple[str, str, str]) -> Batch:
    made = await batching.open_batch(site, NewBatch(kind, "Pharma Logistics", "RA-1"), "tess")
    for number, (item_id, lot, quantity) in enumerate(packs):
        asked = Pack(made.row.id, item_id, lot, quantity, f"pack:{made.row.id}:{number}")
        made = await batching.pack(site, asked, "tess")
    return made


def _outdated(store: Store) -> None:
    journal = Journal(store)
    store.write_sync(furnish)
    journal(K.OPENING, OPENING, OUTDATE, 90)
    journal(K.OPENING, OPENING, OUTDATE, 50, lot=LATE_LOT)
    journal(K.OPENING, OPENING, OUTDATE, 20, item_id=CONTROLLED)


async def test_a_return_goes_from_packing_to_credit_and_its_document_is_its_movements(
    store: Store,
) -> None:
    _outdated(store)
    site, _ = desk(store)
    made = await _packed(
        site, "reverse_distributor", (ITEM, LOT, "45.5"), (ITEM, LATE_LOT, "50"), (ITEM, LOT, "10")
    )
    number = made.row.id
    with pytest.raises(Conflict, match="seal it first"):
        await batching.document(site, number)
    sealed = await batching.seal(site, number, "", "tess")
    assert (sealed.row.state, sealed.row.sealed_by) == (BatchState.SEALED, "tess")
    left = await batching.leave(site, number, "ada")
    assert (left.row.state, left.row.left_by, left.persons_needed) == ("shipped", "ada", 1)
    credited = await batching.credit(site, number, 1999, "CM-7", "tess")
    assert (credited.row.credit_cents, credited.row.credit_reference) == (1999, "CM-7")
    assert (await batching.close(site, number, "paid", "tess")).row.state == "closed"
    _check_document(store, await batching.document(site, number), "ext:reverse-distributor")
    assert store.read_sync(lambda tx: read.book_of(tx, f"batch/{number}")) == {}
    assert store.read_sync(audit.verify).ok


def _check_document(store: Store, document: dict[str, object], target: str) -> None:
    """Compare the lines of a document with the journal, asked by SQL of its own."""
    lines = cast("list[dict[str, object]]", document["lines"])
    told = sorted((r["item_id"], r["lot"], r["quantity"], r["left_movement_id"]) for r in lines)
    rows = store.read_sync(
        lambda tx: tx.execute(
            select(
                t.movement.c.item_id, t.movement.c.lot, t.movement.c.milli, t.movement.c.id
            ).where(t.movement.c.target == target)
        ).all()
    )
    assert told == sorted((i, lot, f"{milli / 1000:g}", id_) for i, lot, milli, id_ in rows)
    text = batching.as_csv(document)
    table = list(csv.DictReader(io.StringIO(text)))
    assert [(r["line"], r["lot"], r["quantity"]) for r in table] == [
        (str(r["line"]), r["lot"], r["quantity"]) for r in lines
    ]


async def test_the_document_tells_what_form_41_asks_for(store: Store) -> None:
    _outdated(store)
    site, _ = desk(store)
    made = await _packed(site, "destruction", (CONTROLLED, LOT, "20"), (ITEM, LOT, "45"))
    await batching.seal(site, made.row.id, "41-2026-3", "tess")
    await batching.leave(site, made.row.id, "ada", method="incineration")
    await batching.leave(site, made.row.id, "bob")
    document = await batching.document(site, made.row.id)
    lines = cast("list[dict[str, object]]", document.pop("lines"))
    assert document == {
        "document": "dispensed-batch-1",
        "batch": made.row.id,
        "kind": "destruction",
        "state": "destroyed",
        "partner": "Pharma Logistics",
        "reference": "RA-1",
        "dea_form": "41",
        "dea_reference": "41-2026-3",
        "method": "incineration",
        "sealed_by": "tess",
        "sealed_at": "2026-11-22T16:00:00+00:00",
        "persons": ["ada", "bob"],
        "left_at": "2026-11-22T16:00:00+00:00",
    }
    assert lines[0] == {
        "line": 1,
        "ndc": "0406-0552-01",
        "item_id": CONTROLLED,
        "name": "Oxycodone",
        "strength": "5 mg",
        "form": "tablet",
        "labeler": "SpecGx",
        "schedule": "CII",
        "lot": LOT,
        "expiry": "2027-06-30",
        "quantity": "20",
        "unit": "EA",
        "full_packs": 0,
        "partial": "20",
        "movement_id": 4,
        "left_movement_id": 6,
    }
    assert (lines[1]["full_packs"], lines[1]["partial"]) == (1, "15")


async def test_a_controlled_batch_needs_its_form_and_two_persons_to_leave(store: Store) -> None:
    _outdated(store)
    site, _ = desk(store)
    made = await _packed(site, "reverse_distributor", (CONTROLLED, LOT, "20"))
    number = made.row.id
    assert (made.form_needed, made.persons_needed) == ("222", 2)
    with pytest.raises(FormMissing, match="number of DEA Form 222"):
        await batching.seal(site, number, " ", "tess")
    await batching.seal(site, number, "220012345", "tess")
    waiting = await batching.leave(site, number, "ada")
    assert (waiting.row.state, waiting.row.first_person) == ("sealed", "ada")
    assert store.read_sync(lambda tx: read.book_of(tx, f"batch/{number}")) == {
        (CONTROLLED, LOT): 20_000
    }
    with pytest.raises(SecondPersonNeeded, match="ada has said it"):
        await batching.leave(site, number, "ada")
    again = await batching.reopen(site, number, "a line is missing", "tess")
    assert (again.row.state, again.row.first_person) == ("open", None)
    await batching.seal(site, number, "220012345", "tess")
    await batching.leave(site, number, "bob")
    left = await batching.leave(site, number, "ada")
    assert (left.row.first_person, left.row.left_by, left.row.dea_form) == ("bob", "ada", "222")
    (line,) = left.lines
    assert line.left_movement_id is not None


async def test_destruction_asks_for_its_method(store: Store) -> None:
    _outdated(store)
    site, _ = desk(store)
    made = await _packed(site, "destruction", (ITEM, LOT, "5"))
    await batching.seal(site, made.row.id, "", "tess")
    with pytest.raises(Invalid, match="by which method"):
        await batching.leave(site, made.row.id, "ada")
    with pytest.raises(IllegalBatchStep, match="cannot become credited"):
        await batching.credit(site, made.row.id, 1, "x", "ada")
    with pytest.raises(Invalid, match="a credit of -1"):
        await batching.credit(site, made.row.id, -1, "x", "ada")
    done = await batching.leave(site, made.row.id, "ada", method="incineration")
    assert (done.row.state, done.row.method) == ("destroyed", "incineration")
    assert store.read_sync(lambda tx: read.book_of(tx, "ext:destruction")) == {(ITEM, LOT): 5000}


async def test_lines_change_only_while_a_batch_is_open(store: Store) -> None:
    _outdated(store)
    site, _ = desk(store)
    made = await _packed(site, "return", (ITEM, LOT, "5"), (ITEM, LATE_LOT, "6"))
    number = made.row.id
    again = Pack(number, ITEM, LOT, "5", f"pack:{number}:0")
    assert len((await batching.pack(site, again, "tess")).lines) == 2  # a repeat
    with pytest.raises(Invalid, match=f"batch {number} has no line 99"):
        await batching.unpack(site, number, 99, "wrong", "tess")
    with pytest.raises(Conflict, match="is not empty"):
        await batching.close(site, number, "not needed", "tess")
    left = await batching.unpack(site, number, made.lines[0].id, "wrong", "tess")
    assert [line.lot for line in left.lines] == [LATE_LOT]
    assert store.read_sync(lambda tx: len(batches.lines(tx, number, removed=True))) == 2
    assert store.read_sync(lambda tx: read.book_of(tx, OUTDATE))[ITEM, LOT] == 90_000
    await batching.seal(site, number, "", "tess")
    with pytest.raises(BatchNotOpen, match="is sealed"):
        await batching.unpack(site, number, made.lines[1].id, "wrong", "tess")
    with pytest.raises(BatchNotOpen, match="is sealed"):
        await batching.pack(site, again, "tess")
    assert [row.id for row in await batching.batches_of(site, state="sealed")] == [number]
    assert await batching.batches_of(site, state="shipped") == ()
    assert [row.state for row in await batching.batches_of(site)] == ["sealed"]
    with pytest.raises(Invalid, match="'gone' is not one of"):
        await batching.batches_of(site, state="gone")


async def test_an_empty_batch_is_not_sealed_but_cancelled(store: Store) -> None:
    _outdated(store)
    site, _ = desk(store)
    made = await _packed(site, "return")
    with pytest.raises(Conflict, match="is empty"):
        await batching.seal(site, made.row.id, "", "tess")
    with pytest.raises(Invalid, match="say why"):
        await batching.close(site, made.row.id, "", "tess")
    assert (await batching.close(site, made.row.id, "not needed", "tess")).row.state == "cancelled"
    assert (await batching.batch(site, made.row.id)).lines == ()
    with pytest.raises(NotFound, match="no batch 99"):
        await batching.batch(site, 99)
    with pytest.raises(Invalid, match="'gift' is not one of return"):
        await batching.open_batch(site, NewBatch("gift", "x"), "tess")
    with pytest.raises(Invalid, match="who gets or destroys"):
        await batching.open_batch(site, NewBatch("return", " "), "tess")


async def test_a_batch_whose_place_holds_something_else_is_not_sealed(store: Store) -> None:
    _outdated(store)
    site, _ = desk(store)
    made = await _packed(site, "return", (ITEM, LOT, "5"))
    past = move(K.TRANSFER, OUTDATE, made.row.location_id, 1, "past", lot=LATE_LOT)
    store.write_sync(lambda tx: post.post(tx, past, STAMP, on_date=TODAY))
    with pytest.raises(BatchDiffers, match=r"lot B34 .*: 0 thousandths in the lines, 1000 in the"):
        await batching.seal(site, made.row.id, "", "tess")
    line = made.lines[0].movement_id
    store.write_sync(
        lambda tx: post.reverse(tx, line, request_id="undo", occurred_at=NOW, stamp=STAMP)
    )
    faults = store.read_sync(lambda tx: batches.faults(tx, made.row.id))
    assert faults[0] == f"movement {line} of line {made.lines[0].id} was reversed"
    store.write_sync(
        lambda tx: tx.execute(
            update(t.return_line).where(t.return_line.c.movement_id == line).values(milli=6000)
        )
    )
    faults = store.read_sync(lambda tx: batches.faults(tx, made.row.id))
    assert faults[0] == f"line {made.lines[0].id} is not what movement {line} moved"


# ---------------------------------------------------------------- invariant 16


ROUTES = (
    (K.RECEIVE, "ext:supplier", RECEIVING, "received"),
    (K.FOUND, FOUND, SHELF, "received"),
    (K.TRANSFER, RECEIVING, SHELF, ""),
    (K.LOAD, SHELF, ROBOT, ""),
    (K.PICK, SHELF, FILL, ""),
    (K.OUTPUT, ROBOT, FILL, ""),
    (K.DISPENSE, FILL, DISPENSED, "dispensed"),
    (K.PUTBACK, FILL, SHELF, ""),
    (K.WASTE, FILL, WASTE, "wasted"),
    (K.LOSS, SHELF, "ext:loss", "lost"),
    (K.REJECT, ROBOT, REJECTS, ""),
    (K.TRANSFER, SHELF, OUTDATE, ""),
    (K.TRANSFER, REJECTS, OUTDATE, ""),
    (K.RETURN, OUTDATE, "ext:reverse-distributor", "returned"),
    (K.RETURN, SHELF, "ext:supplier", "returned"),
    (K.DESTROY, OUTDATE, "ext:destruction", "destroyed"),
)
ENDS = ("dispensed", "wasted", "lost", "returned", "destroyed")
PLANS = st.lists(st.tuples(st.sampled_from(ROUTES), st.integers(1, 9)), min_size=5, max_size=20)
_NUMBERS = itertools.count(1)


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=PLANS)
def test_16_per_lot_received_is_on_hand_dispensed_wasted_lost_returned_and_destroyed(
    store: Store, plan: list[tuple[tuple[MovementKind, str, str, str], int]]
) -> None:
    lot = f"N{next(_NUMBERS)}"
    total: Counter[str] = Counter()

    def write(tx: Tx) -> None:
        furnish(tx)
        put_lot(tx, lot, date(2027, 6, 30))
        start = move(K.RECEIVE, "ext:supplier", RECEIVING, 20, f"{lot}:start", lot=lot)
        post.post(tx, start, STAMP, on_date=TODAY)
        total["received"] += 20_000
        for number, ((kind, source, target, counts), units) in enumerate(plan):
            wanted = move(kind, source, target, units, f"{lot}:{number}", lot=lot)
            with contextlib.suppress(post.InsufficientStock):
                post.post(tx, wanted, STAMP, on_date=TODAY)
                total[counts] += units * 1000

    store.write_sync(write)
    on_hand = sum(
        row.on_hand
        for row in store.read_sync(lambda tx: read.stock(tx, on_date=TODAY, lot_number=lot))
    )
    assert total["received"] == on_hand + sum(total[end] for end in ENDS)
    net = store.read_sync(lambda tx: _net_of_accounts(tx, lot))
    assert {end: net.get(account, 0) for end, account in ACCOUNTS.items()} == {
        "dispensed": total["dispensed"],
        "wasted": total["wasted"],
        "lost": total["lost"],
        "destroyed": total["destroyed"],
    }
    assert net.get("ext:supplier", 0) + net.get("ext:found", 0) + net.get(
        "ext:reverse-distributor", 0
    ) == (total["returned"] - total["received"])


ACCOUNTS = {
    "dispensed": DISPENSED,
    "wasted": WASTE,
    "lost": "ext:loss",
    "destroyed": "ext:destruction",
}


def _net_of_accounts(tx: Tx, lot: str) -> dict[str, int]:
    """Return what came into each account less what left it, from the journal alone."""
    into = select(t.movement.c.target, func.sum(t.movement.c.milli)).where(t.movement.c.lot == lot)
    out = select(t.movement.c.source, func.sum(-t.movement.c.milli)).where(t.movement.c.lot == lot)
    net: Counter[str] = Counter()
    for query in (into.group_by(t.movement.c.target), out.group_by(t.movement.c.source)):
        for account, milli in tx.execute(query):
            net[account] += int(milli)
    return dict(net)
