"""Counting on both databases: what a count posts, and when another person counts again."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from dispensed.errors import Conflict, DeviceProblem, Invalid, NotFound
from dispensed.ledger import audit, cases, catalog, inbox, picking, post
from dispensed.ledger import counting as rows
from dispensed.ledger import tables as t
from dispensed.ledger.count_book import BadCount
from dispensed.ledger.counting import CountExists, UnknownCount
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.post import Move, Stamp
from dispensed.ledger.rules import UnknownLocation, UnknownLot
from dispensed.model.catalog import Location, LocationKind
from dispensed.model.counting import (
    CountClosed,
    CountKind,
    CountPolicy,
    CountSource,
    CountState,
    SamePerson,
    Uncountable,
)
from dispensed.model.quantity import QuantityError
from dispensed.services import count_machines, count_planning, counting, drawers, reconciling
from dispensed.services.count_machines import Weighing
from dispensed.services.counting import Ask, Counted
from drivers.base import Snapshot
from drivers.errors import DeviceTimeout, Moved
from drivers.facts import Pack
from tests.ledger.book import (
    CONTROLLED,
    FILL,
    ITEM,
    LATE_LOT,
    LOT,
    NOW,
    ROBOT,
    SHELF,
    SHELF2,
    STAMP,
    TODAY,
    K,
    furnish,
    order,
)
from tests.system.count_bench import Pharmacy, of_store, open_pharmacy

ON_SQLITE = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
"""What asks nothing new of the database is tried on one of them."""


@pytest.fixture
def shop(store: Store) -> Pharmacy:
    return open_pharmacy(store)


# ---------------------------------------------------------------- what a count posts


async def test_10_a_count_posts_counted_less_book_and_never_overwrites_a_balance(
    shop: Pharmacy,
) -> None:
    task = await shop.ask()
    shop.later()
    done = await shop.tell(task, "97")
    assert (done.task.state, done.task.outcome) == (CountState.CLOSED, "posted")
    (result,) = done.rounds[0].results
    assert (result.counted, result.book, result.variance) == (97_000, 100_000, -3_000)
    rows = await shop.site.store.read(
        lambda tx: tx.execute(
            text("SELECT kind, source, target, milli, actor FROM movement WHERE id > 3")
        ).all()
    )
    assert [tuple(row) for row in rows] == [("loss", SHELF, "ext:loss", 3_000, "ann")]
    assert await shop.on_hand() == 97
    task = await shop.ask()
    shop.later()
    await shop.tell(task, "99.5")
    rows = await shop.site.store.read(
        lambda tx: tx.execute(
            text("SELECT kind, source, target, milli FROM movement WHERE id > 4")
        ).all()
    )
    assert [tuple(row) for row in rows] == [("found", "ext:found", SHELF, 2_500)]
    assert (await shop.site.store.read(audit.verify)).ok


async def test_10_stock_may_move_during_a_count_without_a_false_variance(shop: Pharmacy) -> None:
    task = await shop.ask()
    shop.later()
    counted_at = shop.clock.at
    shop.later()
    await shop.move(K.PICK, SHELF, FILL, 30)
    await shop.move(K.TRANSFER, SHELF, SHELF2, 10)
    await shop.move(K.PUTBACK, FILL, SHELF, 5)
    done = await shop.tell(task, "100", counted_at=counted_at)
    assert (done.task.outcome, done.rounds[0].results[0].variance) == ("agrees", 0)
    assert await shop.on_hand() == 65


@ON_SQLITE
async def test_10_a_movement_told_late_that_happened_before_the_count_belongs_to_its_book(
    shop: Pharmacy,
) -> None:
    task = await shop.ask()
    shop.later(600)
    counted_at = shop.clock.at
    shop.later(600)
    await shop.move(K.PICK, SHELF, FILL, 30, ago_s=900)
    done = await shop.tell(task, "70", counted_at=counted_at)
    assert done.task.outcome == "agrees"
    assert done.late == ()


@ON_SQLITE
async def test_10_a_count_that_could_not_know_of_a_movement_is_made_again(shop: Pharmacy) -> None:
    task = await shop.ask()
    shop.later(600)
    done = await shop.tell(task, "97")
    assert done.task.outcome == "posted"
    shop.later(60)
    late = await shop.move(K.PICK, SHELF, FILL, 3, ago_s=300)
    detail = await counting.count(shop.site, task)
    assert detail.late == (late,)
    opened = await count_planning.open_due(shop.site)
    assert opened.late == 1
    (again,) = [
        row
        for row in await counting.counts(shop.site, state="waiting")
        if row.kind is CountKind.DISCREPANCY
    ]
    assert (again.scope, again.reason) == (
        (SHELF, ITEM, LOT),
        f"count {task} could not know of movement {late}",
    )
    shop.later()
    await shop.tell(again.id, "97")
    assert await shop.on_hand() == 97
    assert (await count_planning.open_due(shop.site)).late == 0


@ON_SQLITE
async def test_10_the_position_in_the_journal_decides_where_the_instant_cannot(
    shop: Pharmacy,
) -> None:
    """All of it happens within one instant of the clock."""
    task = await shop.ask()
    before = await shop.move(K.PICK, SHELF, FILL, 30)
    await shop.move(K.PICK, SHELF, FILL, 20)
    done = await shop.tell(task, "70", counted_at=shop.clock.at, position=before)
    assert done.task.outcome == "agrees"
    assert await shop.on_hand() == 50
    with pytest.raises(BadCount, match="position 99"):
        await shop.tell(await shop.ask(), "50", counted_at=shop.clock.at, position=99)
    with pytest.raises(BadCount, match="a position without the instant"):
        await shop.tell(await shop.ask(), "50", position=4)


@ON_SQLITE
async def test_10_a_movement_behind_the_position_that_occurred_before_it_is_in_the_book(
    shop: Pharmacy,
) -> None:
    task = await shop.ask()
    shop.later(600)
    position = await shop.move(K.PICK, SHELF, FILL, 30)
    shop.later(60)
    counted_at = shop.clock.at
    await shop.move(K.PICK, SHELF, FILL, 20, ago_s=300)
    done = await shop.tell(task, "50", counted_at=counted_at, position=position)
    assert done.task.outcome == "agrees"


async def test_10_what_left_a_place_beyond_the_book_is_not_found_again(shop: Pharmacy) -> None:
    fact = Move(
        kind=K.OUTPUT,
        item_id=ITEM,
        lot=LATE_LOT,
        source=ROBOT,
        target=FILL,
        milli=30_000,
        request_id="unbooked",
        occurred_at=NOW,
    )
    await shop.site.store.write(lambda tx: post.post_fact(tx, fact, STAMP))
    task = await shop.ask(location_id=ROBOT, lot=LATE_LOT)
    shop.later()
    await shop.tell(task, "60")
    done = await shop.tell(task, "60", actor="bob")
    assert done.rounds[1].results[0].variance == 90_000
    assert await shop.on_hand(lot=LATE_LOT, place=ROBOT) == 60
    assert await shop.on_hand(lot=LATE_LOT, place=FILL) == 30
    assert (await shop.site.store.read(audit.verify)).ok


@ON_SQLITE
async def test_an_older_count_than_the_last_one_posts_nothing(shop: Pharmacy) -> None:
    older, newer = await shop.ask(), await shop.ask()
    shop.later()
    counted_at = shop.clock.at
    shop.later()
    await shop.tell(newer, "97")
    done = await shop.tell(older, "97", counted_at=counted_at)
    assert (done.task.outcome, done.rounds[0].results[0].variance) == ("superseded", -3_000)
    assert await shop.on_hand() == 97


@ON_SQLITE
async def test_a_whole_place_is_counted_and_what_is_not_named_was_not_there(
    shop: Pharmacy,
) -> None:
    await shop.move(K.OPENING, "ext:opening", SHELF2, 4)
    await shop.move(K.OPENING, "ext:opening", SHELF2, 3, lot=LATE_LOT)
    task = await shop.ask(CountKind.FULL, location_id=SHELF2, item_id=None, lot=None)
    shop.later()
    lines = (Counted("3", ITEM, LOT), Counted("1", ITEM, LOT))
    done = await shop.tell(task, *lines)
    assert done.task.state is CountState.RECOUNT
    done = await shop.tell(task, *lines, actor="bob")
    assert [(r.lot, r.counted, r.variance) for r in done.rounds[1].results] == [
        (LOT, 4_000, 0),
        (LATE_LOT, 0, -3_000),
    ]
    assert await shop.on_hand(lot=LATE_LOT, place=SHELF2) == 0
    empty = await shop.ask(CountKind.FULL, location_id="rejects", item_id=None, lot=None)
    assert (await shop.tell(empty)).task.outcome == "agrees"


# ---------------------------------------------------------------- another person


async def test_a_large_variance_waits_for_another_person_and_both_counts_are_kept(
    shop: Pharmacy,
) -> None:
    task = await shop.ask()
    shop.later()
    first = await shop.tell(task, "90")
    assert first.task.state is CountState.RECOUNT
    assert await shop.on_hand() == 100
    assert await shop.cases(None) == ()
    with pytest.raises(SamePerson, match="ann has counted"):
        await shop.tell(task, "91")
    shop.later()
    await shop.move(K.PICK, SHELF, FILL, 30)
    done = await shop.tell(task, "61", actor="bob")
    assert [(r.actor, r.results[0].counted, r.results[0].variance) for r in done.rounds] == [
        ("ann", 90_000, -10_000),
        ("bob", 61_000, -9_000),
    ]
    assert (done.task.outcome, await shop.on_hand()) == ("posted", 61)
    (case,) = await shop.cases("closed")
    assert (case.reason_code, case.size, case.is_controlled) == ("posted_by_count", -9_000, False)
    with pytest.raises(CountClosed, match=f"count {task} is closed"):
        await shop.tell(task, "61", actor="cy")


@pytest.mark.parametrize(("counted", "state"), [("95", "closed"), ("94", "recount")])
@ON_SQLITE
async def test_the_limit_is_a_number_of_units_and_a_part_of_the_book(
    shop: Pharmacy, counted: str, state: str
) -> None:
    task = await shop.ask()
    shop.later()
    assert (await shop.tell(task, counted)).task.state == state


@ON_SQLITE
async def test_a_variance_of_a_controlled_item_is_counted_again_and_never_posted(
    shop: Pharmacy,
) -> None:
    task = await shop.ask(item_id=CONTROLLED)
    shop.later()
    assert (await shop.tell(task, "99")).task.state is CountState.RECOUNT
    done = await shop.tell(task, "98", actor="bob")
    assert (done.task.state, done.task.outcome) == (CountState.CLOSED, "discrepancy")
    assert await shop.on_hand(CONTROLLED) == 100
    (case,) = await shop.cases()
    assert (case.kind, case.difference, case.schedule) == ("count", -2_000, "CII")
    assert case.due_at - case.opened_at == timedelta(hours=24)
    task = await shop.ask(item_id=CONTROLLED)
    shop.later()
    assert (await shop.tell(task, "100")).task.outcome == "agrees"
    (case,) = await shop.cases()
    assert (case.difference, case.detail) == (
        0,
        "found and book agree again; a person must close it",
    )


@ON_SQLITE
async def test_what_a_count_misses_is_not_promised_to_anybody(shop: Pharmacy) -> None:
    task = await shop.ask(item_id=CONTROLLED)
    shop.later()
    await shop.tell(task, "97")
    await shop.tell(task, "98", actor="bob")
    await shop.differ(-1_000, item_id=CONTROLLED, place=SHELF)
    found = await shop.site.store.read(lambda tx: picking.candidates(tx, CONTROLLED, TODAY))
    assert [row.available for row in found] == [98_000]


@ON_SQLITE
async def test_a_controlled_item_whose_second_count_agrees_still_goes_to_a_person(
    shop: Pharmacy,
) -> None:
    task = await shop.ask(item_id=CONTROLLED)
    shop.later()
    await shop.tell(task, "99")
    assert (await shop.tell(task, "100", actor="bob")).task.outcome == "discrepancy"
    (case,) = await shop.cases()
    assert case.difference == 0


@ON_SQLITE
async def test_a_variance_that_nobody_counts_again_is_not_forgotten(shop: Pharmacy) -> None:
    task = await shop.ask()
    shop.later()
    await shop.tell(task, "60")
    with pytest.raises(BadCount, match="say why"):
        await counting.cancel(shop.site, task, " ", "manager")
    done = await counting.cancel(shop.site, task, "nobody left", "manager")
    assert done.task.state is CountState.CANCELLED
    (case,) = await shop.cases()
    assert (case.difference, await shop.on_hand()) == (-40_000, 100)
    again = await shop.ask()
    shop.later()
    await shop.tell(again, "100")
    (case,) = await shop.cases(None)
    assert (case.state, case.reason_code) == ("closed", "agrees_again")
    with pytest.raises(CountClosed):
        await counting.cancel(shop.site, task, "again", "manager")
    fresh = await shop.ask()
    assert (await counting.cancel(shop.site, fresh, "wrong", "manager")).rounds == ()


# ---------------------------------------------------------------- what is refused


@ON_SQLITE
async def test_a_cancelled_count_leaves_a_record_only_of_what_differed(shop: Pharmacy) -> None:
    await shop.move(K.OPENING, "ext:opening", SHELF2, 10)
    await shop.move(K.OPENING, "ext:opening", SHELF2, 10, lot=LATE_LOT)
    task = await shop.ask(CountKind.FULL, location_id=SHELF2, item_id=None, lot=None)
    shop.later()
    await shop.tell(task, Counted("10", ITEM, LOT), Counted("2", ITEM, LATE_LOT))
    await counting.cancel(shop.site, task, "closing time", "manager")
    assert [(row.lot, row.difference) for row in await shop.cases()] == [(LATE_LOT, -8_000)]


@ON_SQLITE
async def test_the_first_count_of_an_empty_ledger_finds_what_is_there(store: Store) -> None:
    store.write_sync(furnish)
    shop = of_store(store)
    task = await shop.ask()
    assert await store.read(lambda tx: rows.late_movements(tx, task)) == ()
    shop.later()
    await shop.tell(task, "3", counted_at=shop.clock.at, position=0)
    done = await shop.tell(task, "3", actor="bob")
    assert (done.task.outcome, await shop.on_hand()) == ("posted", 3)


@ON_SQLITE
async def test_a_count_is_opened_once_and_only_of_what_can_be_counted(shop: Pharmacy) -> None:
    asked = Ask(CountKind.CYCLE, SHELF, "q", ITEM, LOT, owner="ann")
    first = await counting.open_count(shop.site, asked, "manager")
    assert (await counting.open_count(shop.site, asked, "manager")).task == first.task
    with pytest.raises(CountExists):
        await counting.open_count(shop.site, Ask(CountKind.FULL, SHELF, "q"), "manager")
    for bad, error in (
        (Ask(CountKind.FULL, "nowhere", "q1"), UnknownLocation),
        (Ask(CountKind.FULL, "ext:waste", "q2"), BadCount),
        (Ask(CountKind.FULL, SHELF, "q3", None, LOT), BadCount),
        (Ask(CountKind.FULL, SHELF, "q4", "none"), NotFound),
        (Ask(CountKind.FULL, SHELF, "q5", ITEM, "none"), UnknownLot),
    ):
        with pytest.raises(error):
            await counting.open_count(shop.site, bad, "manager")
    with pytest.raises(UnknownCount):
        await counting.count(shop.site, 99)
    with pytest.raises(BadCount, match="not one of waiting, open"):
        await counting.counts(shop.site, state="lost")
    assert [row.owner for row in await counting.counts(shop.site, location=SHELF)] == ["ann"]
    assert (await counting.assign(shop.site, first.task.id, "bob", "manager")).task.owner == "bob"
    assert await counting.counts(shop.site, state="closed") == ()


@ON_SQLITE
async def test_an_answer_outside_of_its_task_changes_nothing(shop: Pharmacy) -> None:
    shop.later()
    task = await shop.ask(lot=None)
    whole = await shop.ask(CountKind.FULL, item_id=None, lot=None)
    now = shop.clock.at
    for number, line, more in (
        (task, Counted("1"), None),
        (whole, Counted("1"), None),
        (task, Counted("1", CONTROLLED, LOT), None),
        (task, Counted("1", None, LOT, -1), None),
        (task, Counted("1", None, LOT), now + timedelta(seconds=1)),
        (task, Counted("1", None, LOT), now - timedelta(seconds=61)),
        (task, Counted("1", None, LOT), now.replace(tzinfo=None)),
    ):
        with pytest.raises(BadCount):
            await shop.tell(number, line, counted_at=more)
    with pytest.raises(BadCount, match="more than 5000 lines"):
        await shop.tell(task, *[Counted("1", None, LOT)] * 5001)
    with pytest.raises(QuantityError):
        await shop.tell(task, Counted("-1", None, LOT))
    with pytest.raises(UnknownLot):
        await shop.tell(task, Counted("1", None, "none"))
    assert (await counting.count(shop.site, task)).task.state is CountState.OPEN


@ON_SQLITE
async def test_an_answer_sent_twice_counts_once(shop: Pharmacy) -> None:
    task, other = await shop.ask(), await shop.ask()
    shop.later()
    answer = counting.Answer((Counted("97"),), "same")
    for _ in range(2):
        done = await counting.submit(shop.site, task, answer, "ann")
        assert len(done.rounds) == 1
    with pytest.raises(CountExists):
        await counting.submit(shop.site, other, answer, "ann")
    assert await shop.on_hand() == 97


@pytest.mark.parametrize(
    "table", ["count_round", "count_result", "count_posting", "discrepancy_resolution"]
)
async def test_what_was_counted_and_posted_is_never_changed(shop: Pharmacy, table: str) -> None:
    shop.later()
    await shop.tell(await shop.ask(), "97")
    for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET recorded_at = recorded_at"):  # noqa: S608
        with pytest.raises(DBAPIError, match="append-only"):
            await shop.site.store.write(lambda tx, it=statement: tx.execute(text(it)))  # type: ignore[misc] # a default binds it


# ---------------------------------------------------------------- machines


@ON_SQLITE
async def test_a_weight_is_a_count_with_its_uncertainty(shop: Pharmacy) -> None:
    task = await shop.ask()
    shop.later()
    shop.machines.balance.grams = "19.601"  # 98 pieces of 0.2 g
    asked = Weighing("w1", scale="scale1")
    done = await count_machines.submit_weight(shop.site, task, asked, "ann")
    (result,) = done.rounds[0].results
    assert (done.rounds[0].source, done.rounds[0].device) == (CountSource.SCALE, "scale1")
    assert (result.counted, result.variance) == (98_000, -2_000)
    # sqrt(98 * 0.002^2 + 0.01^2 / 6) / 0.2 = 0.1010 pieces by hand; the display's step rules.
    assert 100 <= result.uncertainty <= 103
    assert done.rounds[0].reason == "net 19.601 g"


@ON_SQLITE
async def test_a_weight_that_cannot_tell_n_from_n_plus_1_is_refused(shop: Pharmacy) -> None:
    task = await shop.ask(blind=True)
    shop.machines.balance.grams = "19.700"
    with pytest.raises(Uncountable, match="weigh smaller portions") as told:
        await count_machines.submit_weight(shop.site, task, Weighing("w1"), "ann")
    assert "100" not in str(told.value).replace("19700000", "").replace("200000", "")
    shop.machines.balance.fault = DeviceTimeout("no answer", moved=Moved.NO)
    with pytest.raises(DeviceProblem, match="weigh again"):
        await count_machines.submit_weight(shop.site, task, Weighing("w1"), "ann")
    await shop.site.store.write(
        lambda tx: tx.execute(t.item.update().values(piece_weight_ug=None, piece_weight_sd_ug=None))
    )
    with pytest.raises(Conflict, match="no piece weight"):
        await count_machines.submit_weight(shop.site, task, Weighing("w1"), "ann")
    several = await shop.ask(lot=None)
    with pytest.raises(Conflict, match="name the item and lot"):
        await count_machines.submit_weight(shop.site, several, Weighing("w1"), "ann")


@ON_SQLITE
async def test_a_device_counts_what_it_holds(shop: Pharmacy) -> None:
    shop.machines.robot.packs = [Pack(str(n), ITEM, LOT, None) for n in range(3)]
    task = await shop.ask(location_id=ROBOT)
    done = await count_machines.submit_snapshot(shop.site, task, "s1", "ann")
    assert (done.task.outcome, done.rounds[0].source) == ("agrees", CountSource.SNAPSHOT)
    shop.machines.robot.packs.pop()
    task = await shop.ask(location_id=ROBOT, lot=None)
    shop.later()
    done = await count_machines.submit_snapshot(shop.site, task, "s2", "ann")
    assert done.task.state is CountState.RECOUNT
    done = await count_machines.submit_snapshot(shop.site, task, "s3", "bob")
    assert (done.task.outcome, await shop.on_hand(place=ROBOT)) == ("posted", 60)
    with pytest.raises(Conflict, match="no device holds"):
        await count_machines.submit_snapshot(shop.site, await shop.ask(), "s4", "ann")
    shop.machines.robot.fault = DeviceTimeout("no answer", moved=Moved.NO)
    task = await shop.ask(location_id=ROBOT)
    with pytest.raises(DeviceProblem, match="nothing was counted"):
        await count_machines.submit_snapshot(shop.site, task, "s5", "ann")


@ON_SQLITE
async def test_a_device_that_reports_a_change_meanwhile_is_asked_again(
    shop: Pharmacy, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await shop.ask(location_id=ROBOT)

    class Busy:
        """A robot that reports an input while it is asked."""

        async def inventory(self) -> Snapshot:
            await shop.site.store.write(
                lambda tx: inbox.store_message(tx, ROBOT, "k", "InputMessage", b"<x/>", NOW)
            )
            return Snapshot(())

    monkeypatch.setattr(shop.machines, "robot", Busy())
    with pytest.raises(Conflict, match="reported a change"):
        await count_machines.submit_snapshot(shop.site, task, "s", "ann")


@ON_SQLITE
async def test_a_device_does_not_count_what_it_is_moving(shop: Pharmacy) -> None:
    def command(tx: Tx) -> None:
        hold = post.reserve(
            tx,
            dispense_id=order(tx),
            item_id=ITEM,
            lot=LOT,
            location=ROBOT,
            milli=30_000,
            request_id="r",
            stamp=STAMP,
            on_date=TODAY,
        )
        post.mark(tx, hold, "commanded", STAMP)

    await shop.site.store.write(command)
    task = await shop.ask(location_id=ROBOT)
    with pytest.raises(Conflict, match="being moved at this moment"):
        await count_machines.submit_snapshot(shop.site, task, "s", "ann")


@ON_SQLITE
async def test_a_record_is_counted_once_however_long_it_is_open(shop: Pharmacy) -> None:
    await shop.differ(-30_000)
    assert (await count_planning.open_due(shop.site)).discrepancy == 1
    (task,) = await counting.counts(shop.site, location=ROBOT, limit=1)
    shop.later()
    await shop.tell(task.id, "90")
    assert [row.difference for row in await shop.cases()] == [-30_000]
    assert (await count_planning.open_due(shop.site)).discrepancy == 0


@ON_SQLITE
async def test_a_run_asks_for_no_more_counts_than_it_may_and_none_of_a_tray(store: Store) -> None:
    shop = open_pharmacy(store, CountPolicy(tasks_max=1))
    await shop.differ(1_000, place=FILL)
    await shop.differ(1_000)
    await shop.differ(1_000, place=SHELF)
    for place in (ROBOT, SHELF):
        assert (await count_planning.open_due(shop.site)).discrepancy == 1
        found = await counting.counts(shop.site, location=place)
        assert [row.kind for row in found][-1:] == [CountKind.DISCREPANCY]
    assert (await count_planning.open_due(shop.site)).discrepancy == 0


async def test_a_count_that_explains_a_snapshot_closes_its_discrepancy(shop: Pharmacy) -> None:
    shop.machines.robot.packs = [Pack("1", ITEM, LOT, None), Pack("2", ITEM, LOT, None)]
    await reconciling.reconcile(shop.site, ROBOT)
    (case,) = await shop.cases()
    assert (case.kind, case.difference) == ("snapshot", -30_000)
    opened = await count_planning.open_due(shop.site)
    assert opened.discrepancy == 1
    assert (await count_planning.open_due(shop.site)).discrepancy == 0
    (task,) = [
        row
        for row in await counting.counts(shop.site, state="waiting")
        if row.kind is CountKind.DISCREPANCY
    ]
    assert task.blind
    shop.later()
    await shop.tell(task.id, "60")
    await shop.tell(task.id, "60", actor="bob")
    assert await shop.cases() == ()
    await reconciling.reconcile(shop.site, ROBOT)
    assert await shop.cases() == ()
    (case,) = await shop.cases("closed")
    linked = await shop.site.store.read(lambda tx: cases.resolutions(tx, case.id))
    assert linked == (4,)


async def test_a_drawer_that_is_opened_asks_for_a_count_of_its_controlled_drugs(
    shop: Pharmacy,
) -> None:
    place = Location("drawers1/0.1", LocationKind.BIN)
    await shop.site.store.write(lambda tx: catalog.put_location(tx, place, STAMP))
    await shop.move(K.TRANSFER, SHELF, "drawers1/0.1", 20, item_id=CONTROLLED)
    await shop.move(K.TRANSFER, SHELF, "drawers1/0.1", 20)
    asked = drawers.Asked("drawers1", "0.1", "open-1", "ann", "restock")
    await drawers.open_drawer(shop.site, asked)
    (task,) = await counting.counts(shop.site)
    assert (task.kind, task.item_id, task.owner, task.blind) == ("access", CONTROLLED, "ann", True)
    stamp = Stamp("ann", shop.clock.at)
    again = await shop.site.store.write(
        lambda tx: counting.open_for_access(tx, shop.site, "drawers1", "0.1", stamp)
    )
    assert again == 0


# ---------------------------------------------------------------- the plan


async def test_the_plan_opens_what_is_due_once_and_again_after_its_interval(
    shop: Pharmacy,
) -> None:
    first = await count_planning.open_due(shop.site)
    assert (first.cycle, first.discrepancy, first.late) == (3, 0, 0)
    assert (await count_planning.open_due(shop.site)).cycle == 0
    rows = await counting.counts(shop.site, state="waiting")
    assert [(row.item_id, row.location_id, row.blind) for row in rows] == [
        (CONTROLLED, SHELF, True),
        (ITEM, ROBOT, False),
        (ITEM, SHELF, False),
    ]
    shop.later()
    await shop.tell(rows[0].id, Counted("100", None, LOT))
    await shop.tell(rows[1].id, Counted("90", None, LOT))
    await shop.tell(rows[2].id, Counted("100", None, LOT))
    shop.later(30 * 86_400 - 60)
    assert [each.cell.item_id for each in await count_planning.due(shop.site)] == []
    shop.later(60)
    assert [each.cell.item_id for each in await count_planning.due(shop.site)] == [CONTROLLED]


async def test_classes_come_from_usage_and_cost(shop: Pharmacy) -> None:
    await shop.move(K.PICK, SHELF, FILL, 30)
    await shop.move(K.DISPENSE, FILL, "ext:dispensed", 30)
    await shop.move(K.PICK, SHELF, FILL, 10, item_id=CONTROLLED)
    await shop.move(K.DISPENSE, FILL, "ext:dispensed", 10, item_id=CONTROLLED)
    await count_planning.set_cost(shop.site, CONTROLLED, 500, "manager")
    await count_planning.set_cost(shop.site, CONTROLLED, 9_000, "manager")
    # One pack of 30 at the typical 90.00 is 9000; a tenth of a pack of 100 at 90.00 is 900.
    found = {each.cell.item_id: each.cell for each in await count_planning.due(shop.site)}
    assert (found[ITEM].abc, found[CONTROLLED].abc) == ("A", "B")
    assert found[CONTROLLED].value == 90 * 9_000 // 100
    with pytest.raises(Invalid, match="cannot cost 0"):
        await count_planning.set_cost(shop.site, ITEM, 0, "manager")


@ON_SQLITE
async def test_a_policy_bounds_what_a_run_opens(store: Store) -> None:
    shop = open_pharmacy(store, CountPolicy(tasks_max=1))
    assert (await count_planning.open_due(shop.site)).cycle == 1
    query = select(t.count_task.c.item_id)
    assert await shop.site.store.read(lambda tx: list(tx.scalars(query))) == [CONTROLLED]
