"""Perpetual record, inventories, order forms, thefts and losses, the vault, and persons."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from dispensed.errors import Invalid
from dispensed.ledger import controlled, discrepancies, inventories, losses, order_forms, post
from dispensed.ledger import tables as t
from dispensed.ledger.controlled import Record, controlled_record
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.inventories import (
    InitialTaken,
    InventoryIncomplete,
    InventoryRow,
    InventorySigned,
    NewInventory,
    NewLine,
    UnknownInventory,
)
from dispensed.ledger.losses import (
    LossClosed,
    LossExists,
    LossUntold,
    Missing,
    NewLoss,
    UnknownLoss,
)
from dispensed.ledger.order_forms import (
    FormLine,
    FormRow,
    OrderFormExists,
    OverReceipt,
    UnknownOrderForm,
)
from dispensed.model.controlled import CountMethod, EstimateRefused, InventoryKind, Moment
from dispensed.model.diversion import Indicator
from tests.ledger.book import CONTROLLED, ITEM, LOT, NOW, SHELF, STAMP, TODAY, K
from tests.ledger.custody import (
    CABINET,
    CODEINE,
    IN_HAND,
    VAULT,
    WARD,
    at,
    back,
    confirmed,
    gave,
    moved,
    run,
    stated,
    taken,
    vaulted,
)

DAY = timedelta(days=1)


@pytest.fixture
def vault(store: Store) -> Store:
    store.write_sync(vaulted)
    return store


# ---------------------------------------------------------------- the record


def busy(tx: Tx) -> None:
    """A busy hour: a removal with waste, a transfer, a reversal."""
    taken(tx, 10, "r1", stamp=at(10))
    gave(tx, 1, 7, "g1", at(20))
    waste = stated(tx, 1, "w1", 1, at(30))
    confirmed(tx, waste.id, at(40, "pat"))
    back(tx, 1, 2, "b1", stamp=at(50))
    moved(tx, K.TRANSFER, VAULT, WARD, 20, "t1", stamp=at(60))
    wrong = moved(tx, K.TRANSFER, VAULT, WARD, 5, "t2", stamp=at(70))
    post.reverse(tx, wrong, request_id="undo", occurred_at=at(80).at, stamp=at(80))
    moved(tx, K.LOSS, WARD, "ext:loss", 1, "l1", stamp=at(90))


def test_the_record_runs_over_every_movement_of_the_item_with_its_balances(vault: Store) -> None:
    vault.write_sync(busy)
    record = vault.read_sync(lambda tx: controlled_record(tx, CONTROLLED))
    assert (record.opening, record.closing, record.next_after) == (0, 141_000, None)
    seen = [
        (line.kind, line.change // 1000, line.balance // 1000, line.source_balance)
        for line in record.lines
    ]
    assert seen == [
        ("opening", 100, 100, None),
        ("opening", 50, 150, None),
        ("remove", 0, 150, 90_000),
        ("give", -7, 143, 3000),
        ("waste", -1, 142, 2000),
        ("putback", 0, 142, 0),
        ("transfer", 0, 142, 30_000),
        ("transfer", 0, 142, 25_000),
        ("reversal", 0, 142, 20_000),
        ("loss", -1, 141, 19_000),
    ]
    waste = record.lines[4]
    assert (waste.actor, waste.witness, waste.target_balance) == ("tess", "pat", None)
    assert record.lines[2].reference == "order rx1, removal 1, patient p-1"
    assert record.lines[8].reference == "reverses 9"


BALANCES = text(
    "SELECT SUM(CASE WHEN l.kind IN ('bin', 'receiving', 'device', 'fill', 'in-hand', 'rejects',"
    " 'outdate') THEN b.on_hand ELSE 0 END) FROM balance b JOIN location l"
    " ON l.location_id = b.location_id WHERE b.item_id = :item"
)
RUNNING = text(
    "SELECT m.id, (SELECT SUM((CASE WHEN e.target IN ('shelf/A-01', 'vault', 'ward', 'in-hand')"
    " THEN e.milli ELSE 0 END) - (CASE WHEN e.source IN ('shelf/A-01', 'vault', 'ward', 'in-hand')"
    " THEN e.milli ELSE 0 END)) FROM movement e WHERE e.item_id = m.item_id AND e.id <= m.id)"
    " AS total FROM movement m WHERE m.item_id = :item ORDER BY m.id"
)


def test_running_balances_equal_an_independent_query_also_in_pages_and_periods(
    vault: Store,
) -> None:
    vault.write_sync(busy)
    known = {"item": CONTROLLED}
    rows = vault.read_sync(lambda tx: tx.execute(RUNNING, known).all())
    expected = {row.id: int(row.total) for row in rows}
    whole = vault.read_sync(lambda tx: controlled_record(tx, CONTROLLED))
    assert {line.id: line.balance for line in whole.lines} == expected
    total = vault.read_sync(lambda tx: tx.execute(BALANCES, known).scalar_one())
    assert whole.closing == total
    pages: list[Record] = []
    after: int | None = 0
    while after is not None:
        page = vault.read_sync(partial(controlled_record, item_id=CONTROLLED, after=after, limit=3))
        pages.append(page)
        after = page.next_after
    assert [line for page in pages for line in page.lines] == list(whole.lines)
    assert [page.opening for page in pages[1:]] == [page.closing for page in pages[:-1]]
    part = vault.read_sync(lambda tx: controlled_record(tx, CONTROLLED, at(20).at, at(60).at))
    assert [line.kind for line in part.lines] == ["give", "waste", "putback"]
    assert (part.opening, part.closing) == (150_000, 142_000)
    assert part.lines == whole.lines[3:6]


def test_a_period_without_movements_has_a_balance_and_no_lines(vault: Store) -> None:
    vault.write_sync(busy)
    record = vault.read_sync(lambda tx: controlled_record(tx, CONTROLLED, NOW + DAY))
    assert (record.opening, record.closing, record.lines) == (141_000, 141_000, ())
    with pytest.raises(Invalid, match="not a controlled substance"):
        vault.read_sync(lambda tx: controlled_record(tx, ITEM))


# ---------------------------------------------------------------- inventories

CLOSING = NewInventory(
    InventoryKind.INITIAL,
    TODAY,
    Moment.CLOSING,
    datetime(2026, 11, 23, 5, 0, tzinfo=UTC),
    signatures=2,
)
FOUND = (
    NewLine(CONTROLLED, LOT, SHELF, 99_000),
    NewLine(CONTROLLED, LOT, VAULT, 50_000),
    NewLine(CODEINE, LOT, SHELF, 40_000, CountMethod.ESTIMATED, 100_000),
)


def counting(line: NewLine, actor: str = "tess") -> Callable[[Tx], InventoryRow]:
    return lambda tx: inventories.count(tx, 1, line, at(100, actor))


def signing(actor: str, seconds: int = 200) -> Callable[[Tx], InventoryRow]:
    return lambda tx: inventories.sign(tx, 1, at(seconds, actor))


def begun(store: Store, new: NewInventory = CLOSING) -> InventoryRow:
    return store.write_sync(lambda tx: inventories.begin(tx, new, STAMP))


def test_an_inventory_is_counted_signed_by_two_and_only_then_held_to_the_book(
    vault: Store,
) -> None:
    assert vault.read_sync(inventories.due) is None
    begun(vault)
    vault.write_sync(counting(replace(FOUND[0], milli=1000)))
    for line in FOUND[:2]:
        vault.write_sync(counting(line))
    row = vault.write_sync(counting(FOUND[2]))
    assert (row.state, len(row.lines)) == ("counting", 3)
    assert all(line.book_milli is None and line.variance_milli is None for line in row.lines)
    row = vault.write_sync(signing("tess"))
    assert (row.state, row.lines[0].book_milli) == ("signed", None)
    assert vault.read_sync(inventories.due) is None
    assert vault.write_sync(signing("tess")) == row
    row = vault.write_sync(signing("pat", 300))
    assert row.state == "complete"
    assert [(line.schedule, line.location_id, line.variance_milli) for line in row.lines] == [
        ("CII", SHELF, -1000),
        ("CII", VAULT, 0),
        ("CIII", SHELF, 0),
    ]
    assert [(each.person, each.signed_at) for each in row.signatures] == [
        ("tess", at(200).at),
        ("pat", at(300).at),
    ]
    assert vault.read_sync(inventories.due) == row.next_due == date(2028, 11, 22)
    moved_later = partial(moved, kind=K.TRANSFER, source=SHELF, target=WARD, units=9, name="late")
    vault.write_sync(partial(moved_later, stamp=at(400)))
    assert vault.read_sync(lambda tx: inventories.get(tx, 1)) == row


def test_an_inventory_as_of_the_opening_leaves_the_business_of_the_day_out(vault: Store) -> None:
    opening = replace(CLOSING, moment=Moment.OPENING, as_of=at(5).at, signatures=1)
    begun(vault, opening)
    vault.write_sync(partial(moved, kind=K.TRANSFER, source=VAULT, target=WARD, units=9, name="m"))
    vault.write_sync(
        partial(moved, kind=K.TRANSFER, source=VAULT, target=WARD, units=9, name="n", stamp=at(6))
    )
    for line in (*FOUND, NewLine(CONTROLLED, LOT, WARD, 9000)):
        vault.write_sync(counting(line))
    row = vault.write_sync(signing("tess"))
    assert {line.location_id: line.book_milli for line in row.lines[:3]} == {
        SHELF: 100_000,
        VAULT: 41_000,
        WARD: 9000,
    }


def test_an_inventory_refuses_what_the_schedule_does_not_allow(vault: Store) -> None:
    begun(vault)
    estimate = CountMethod.ESTIMATED
    with pytest.raises(EstimateRefused, match="CII"):
        vault.write_sync(counting(replace(FOUND[0], method=estimate, container_milli=1)))
    with pytest.raises(EstimateRefused, match="counted exactly"):
        vault.write_sync(counting(replace(FOUND[2], container_milli=5_000_000)))
    with pytest.raises(Invalid, match="not a controlled"):
        vault.write_sync(counting(NewLine(ITEM, LOT, SHELF, 1)))
    with pytest.raises(Invalid, match="holds no stock"):
        vault.write_sync(counting(NewLine(CONTROLLED, LOT, "ext:loss", 1)))
    with pytest.raises(Invalid, match="cannot be counted"):
        vault.write_sync(counting(NewLine(CONTROLLED, LOT, SHELF, -1)))
    with pytest.raises(UnknownInventory):
        vault.write_sync(lambda tx: inventories.sign(tx, 2, STAMP))


def test_an_inventory_with_something_not_counted_is_not_signed_and_tells_no_quantity(
    vault: Store,
) -> None:
    begun(vault)
    with pytest.raises(InventoryIncomplete, match="nothing is counted"):
        vault.write_sync(signing("tess"))
    vault.write_sync(counting(FOUND[0]))
    with pytest.raises(InventoryIncomplete) as refused:
        vault.write_sync(signing("tess"))
    assert "2 not counted" in str(refused.value)
    assert f"lot {LOT} of {CONTROLLED} at {VAULT}" in str(refused.value)
    assert "50" not in str(refused.value).replace(CONTROLLED, "")


def test_a_signed_inventory_takes_no_count_and_no_third_signature(vault: Store) -> None:
    begun(vault, replace(CLOSING, kind=InventoryKind.NEWLY_SCHEDULED, signatures=1))
    vault.write_sync(counting(FOUND[2]))
    vault.write_sync(signing("tess"))
    assert vault.read_sync(inventories.due) is None
    with pytest.raises(InventorySigned):
        vault.write_sync(counting(FOUND[2]))
    with pytest.raises(InventorySigned):
        vault.write_sync(signing("pat"))


def test_there_is_one_initial_inventory(vault: Store) -> None:
    begun(vault, replace(CLOSING, signatures=1))
    begun(vault)
    for line in FOUND:
        vault.write_sync(counting(line))
    vault.write_sync(signing("tess"))
    with pytest.raises(InitialTaken):
        begun(vault)
    assert begun(vault, replace(CLOSING, kind=InventoryKind.BIENNIAL)).id == 3


# ---------------------------------------------------------------- order forms

NUMBER = "26X00A1B2"
LINES = (FormLine(1, CONTROLLED, 3, 100_000),)


def ordered(tx: Tx, lines: tuple[FormLine, ...] = LINES, supplier: str = "Wholesale") -> FormRow:
    return order_forms.put(
        tx,
        NUMBER,
        kind="csos",
        supplier=supplier,
        ordered_on=TODAY,
        lines=lines,
        stamp=STAMP,
    )


def came(tx: Tx, units: int, name: str, *, line: int = 1, item_id: str = CONTROLLED) -> None:
    movement_id = moved(tx, K.RECEIVE, "ext:supplier", SHELF, units, name, item_id=item_id)
    order_forms.receive(tx, movement_id, NUMBER, line, received_on=TODAY, stamp=STAMP)


def test_receipts_on_a_line_add_up_to_what_was_ordered_and_no_more(vault: Store) -> None:
    first = vault.write_sync(ordered)
    assert (first.kind, first.valid_until) == ("csos", date(2027, 1, 21))
    vault.write_sync(partial(came, units=200, name="c1"))
    with pytest.raises(OverReceipt, match="300 EA ordered, 200 received, 101 more came"):
        vault.write_sync(partial(came, units=101, name="c2"))
    vault.write_sync(partial(came, units=100, name="c3"))
    (row,) = vault.read_sync(order_forms.page)
    assert (row.lines[0].ordered_milli, row.lines[0].received_milli) == (300_000, 300_000)
    assert row.lines[0].last_received_on == TODAY
    record = vault.read_sync(lambda tx: controlled_record(tx, CONTROLLED))
    assert record.lines[-1].reference == f"order form {NUMBER} line 1"


def test_a_receipt_that_was_reversed_frees_its_line(vault: Store) -> None:
    vault.write_sync(ordered)
    vault.write_sync(partial(came, units=300, name="c1"))
    undo = partial(post.reverse, movement_id=4, request_id="u", occurred_at=NOW, stamp=STAMP)
    vault.write_sync(undo)
    vault.write_sync(partial(came, units=300, name="c2"))
    assert vault.read_sync(order_forms.page)[0].lines[0].received_milli == 300_000


def test_a_receipt_names_a_form_and_a_line_of_its_item(vault: Store) -> None:
    with pytest.raises(UnknownOrderForm, match="no order form"):
        vault.write_sync(partial(came, units=1, name="c1"))
    vault.write_sync(ordered)
    with pytest.raises(UnknownOrderForm, match="no line 2"):
        vault.write_sync(partial(came, units=1, name="c2", line=2))
    with pytest.raises(Invalid, match="is item"):
        vault.write_sync(partial(came, units=1, name="c3", item_id=CODEINE))


def test_an_order_form_is_recorded_once_with_one_content(vault: Store) -> None:
    first = vault.write_sync(ordered)
    assert vault.write_sync(ordered) == first
    with pytest.raises(OrderFormExists):
        vault.write_sync(partial(ordered, supplier="Other"))


def test_an_order_form_that_contradicts_itself_is_refused(vault: Store) -> None:
    wrong: tuple[tuple[tuple[FormLine, ...], str], ...] = (
        ((), "at least one line"),
        ((LINES[0], LINES[0]), "each number once"),
        ((FormLine(1, CODEINE, 3, 100_000),), "no order form is needed"),
        ((FormLine(0, CONTROLLED, 3, 100_000),), "line 0"),
        ((FormLine(1, CONTROLLED, 0, 100_000),), "0 packages"),
        ((FormLine(1, CONTROLLED, 1, 0),), "empty packages"),
    )
    for lines, said in wrong:
        with pytest.raises(Invalid, match=said):
            vault.write_sync(partial(ordered, lines=lines))


# ---------------------------------------------------------------- thefts and losses

LOSS = NewLoss(
    "employee_pilferage",
    "two tablets missing",
    NOW,
    date(2026, 11, 23),
    date(2027, 1, 6),
    (Missing(CONTROLLED, LOT, 2000),),
)


def lost(store: Store, new: NewLoss = LOSS) -> losses.LossRow:
    return store.write_sync(lambda tx: losses.open_case(tx, new, STAMP))


def test_a_loss_goes_from_open_over_notice_and_report_to_closed(vault: Store) -> None:
    row = lost(vault)
    assert (row.state, row.lines[0].name, row.lines[0].milli) == ("open", "Oxycodone", 2000)
    with pytest.raises(LossUntold, match="tell the field office first, due 2026-11-23"):
        vault.write_sync(lambda tx: losses.reported(tx, 1, "106-1", at(1)))
    with pytest.raises(LossUntold, match="Form 106 is not sent, due 2027-01-06"):
        vault.write_sync(lambda tx: losses.close(tx, 1, losses.REPORTED, at(1)))
    for _ in range(2):
        row = vault.write_sync(lambda tx: losses.notified(tx, 1, "letter", at(10)))
    assert row.state == "notified"
    for _ in range(2):
        row = vault.write_sync(lambda tx: losses.reported(tx, 1, "106-1", at(20)))
    assert (row.state, row.report_ref) == ("reported", "106-1")
    row = vault.write_sync(lambda tx: losses.close(tx, 1, losses.REPORTED, at(30, "tess", "sent")))
    assert (row.state, row.outcome, row.reason) == ("closed", "reported", "sent")
    with pytest.raises(LossClosed):
        vault.write_sync(lambda tx: losses.notified(tx, 1, "again", at(40)))
    assert vault.read_sync(losses.page) == ()
    assert vault.read_sync(lambda tx: losses.page(tx, only_open=False)) == (row,)


def test_a_case_that_turned_out_to_be_no_loss_is_closed_and_not_counted(vault: Store) -> None:
    lost(vault)
    lost(vault)
    counted = partial(losses.count_before, case_id=2, since=NOW)
    assert vault.read_sync(counted) == 1
    vault.write_sync(lambda tx: losses.close(tx, 1, losses.NOT_A_LOSS, at(30, "tess", "found")))
    assert vault.read_sync(counted) == 0
    with pytest.raises(UnknownLoss):
        vault.read_sync(lambda tx: losses.get(tx, 9))
    with pytest.raises(IntegrityError):
        run(vault, update(t.loss_case).where(t.loss_case.c.id == 2).values(outcome="reported"))


def test_a_discrepancy_becomes_one_case(vault: Store) -> None:
    def short(tx: Tx, change: int) -> None:
        discrepancies.add(
            tx,
            kind="count",
            item_id=CONTROLLED,
            lot=LOT,
            location_id=SHELF,
            change=change,
            detail="counted",
            stamp=STAMP,
        )

    vault.write_sync(lambda tx: short(tx, 1000))
    with pytest.raises(Invalid, match="nothing is missing"):
        vault.read_sync(lambda tx: losses.missing_of(tx, 1))
    vault.write_sync(lambda tx: short(tx, -3000))
    missing = vault.read_sync(lambda tx: losses.missing_of(tx, 1))
    assert missing == Missing(CONTROLLED, LOT, 2000)
    lost(vault, replace(LOSS, missing=(missing,), discrepancy_id=1))
    with pytest.raises(LossExists, match="is loss 1"):
        lost(vault, replace(LOSS, missing=(missing,), discrepancy_id=1))


def test_a_loss_names_controlled_lots_each_once(vault: Store) -> None:
    for wrong in ((), (LOSS.missing[0], LOSS.missing[0]), (Missing(ITEM, LOT, 1000),)):
        with pytest.raises(Invalid):
            lost(vault, replace(LOSS, missing=wrong))


def test_3_the_database_refuses_to_change_what_the_law_asks_to_keep(vault: Store) -> None:
    begun(vault, replace(CLOSING, kind=InventoryKind.NEWLY_SCHEDULED, signatures=1))
    vault.write_sync(counting(FOUND[2]))
    vault.write_sync(signing("tess"))
    vault.write_sync(ordered)
    vault.write_sync(partial(came, units=1, name="c1"))
    lost(vault)
    for known in (
        t.inventory,
        t.inventory_line,
        t.inventory_signature,
        t.inventory_book,
        t.order_form,
        t.order_form_line,
        t.order_form_receipt,
        t.loss_line,
    ):
        for change in (delete(known), update(known).values(recorded_at=NOW)):
            with pytest.raises(DBAPIError, match="append-only"):
                run(vault, change)


# ---------------------------------------------------------------- vault and persons


def test_passages_are_what_left_the_vault_and_what_reached_cabinets_or_came_back(
    vault: Store,
) -> None:
    def day(tx: Tx) -> None:
        moved(tx, K.LOAD, VAULT, CABINET, 5, "direct")
        moved(tx, K.TRANSFER, VAULT, WARD, 20, "out")
        moved(tx, K.LOAD, WARD, CABINET, 12, "in")
        moved(tx, K.TRANSFER, WARD, VAULT, 8, "back")
        moved(tx, K.IN_TRANSIT, VAULT, "ext:in-transit", 3, "sent")
        moved(tx, K.TRANSFER, VAULT, "outdate", 1, "old")
        wrong = moved(tx, K.TRANSFER, VAULT, WARD, 2, "wrong")
        post.reverse(tx, wrong, request_id="undo", occurred_at=NOW, stamp=STAMP)
        taken(tx, 4, "r1")
        back(tx, 1, 4, "b1", CABINET)

    vault.write_sync(day)
    seen = vault.read_sync(lambda tx: controlled.passages(tx, [VAULT], NOW - DAY, NOW + DAY))
    assert [(each.location_id, each.milli) for each in seen.issues] == [
        (WARD, 20_000),
        ("ext:in-transit", 3000),
    ]
    assert [(each.location_id, each.milli) for each in seen.loads] == [(CABINET, 12_000)]
    assert [(each.location_id, each.milli) for each in seen.returns] == [(WARD, 8000)]
    later = vault.read_sync(lambda tx: controlled.passages(tx, [VAULT], NOW + DAY, NOW + 2 * DAY))
    assert later == controlled.Passages((), (), ())


def test_tallies_say_what_each_person_removed_and_what_became_of_it(vault: Store) -> None:
    def quarter(tx: Tx) -> None:
        taken(tx, 2, "r1", stamp=at(1))
        gave(tx, 1, 2, "g1", at(2))
        taken(tx, 2, "r2", order=None, reason="code", stamp=at(3))
        back(tx, 2, 2, "b2", stamp=at(4))
        taken(tx, 2, "r3", stamp=at(5))
        waste = stated(tx, 2, "w3", 3, at(6))
        confirmed(tx, waste.id, at(7, "pat"))
        taken(tx, 2, "r4", stamp=at(8, "pat"))
        taken(tx, 1, "r5", stamp=at(8, "pat"), item_id=CODEINE)
        for seconds, item_id in ((9, CONTROLLED), (10, CODEINE)):
            discrepancies.add(
                tx,
                kind="count",
                item_id=item_id,
                lot=LOT,
                location_id=SHELF,
                change=-1000 if item_id == CONTROLLED else 1000,
                detail="",
                stamp=at(seconds),
            )
        discrepancies.add(
            tx,
            kind="count",
            item_id=CONTROLLED,
            lot=LOT,
            location_id=VAULT,
            change=-1000,
            detail="nobody took anything there",
            stamp=at(9),
        )

    vault.write_sync(quarter)
    tallies = vault.read_sync(lambda tx: controlled.tallies(tx, NOW, NOW + DAY))
    seen = {
        (each.person, each.stratum): (each.removals, {k for k, v in each.counts.items() if v})
        for each in tallies
    }
    assert seen == {
        ("tess", f"{CONTROLLED}@{SHELF}"): (
            3,
            {
                Indicator.OVERRIDES,
                Indicator.NULLS,
                Indicator.WASTES,
                Indicator.WHOLE_WASTES,
                Indicator.NOTHING_GIVEN,
            },
        ),
        ("pat", f"{CONTROLLED}@{SHELF}"): (1, {Indicator.STILL_OPEN, Indicator.DISCREPANCIES}),
        ("pat", f"{CODEINE}@{SHELF}"): (1, {Indicator.STILL_OPEN}),
    }
    assert tallies[-1].counts[Indicator.NOTHING_GIVEN] == 2
    assert vault.read_sync(lambda tx: controlled.tallies(tx, NOW + DAY, NOW + 2 * DAY)) == ()


def test_what_is_in_the_hand_is_part_of_the_inventory(vault: Store) -> None:
    vault.write_sync(partial(taken, units=5, name="r1"))
    book = vault.read_sync(lambda tx: inventories.book_as_of(tx, NOW + DAY, NOW + DAY))
    assert book[CONTROLLED, LOT, IN_HAND] == 5000
    assert sum(book.values()) == 190_000
