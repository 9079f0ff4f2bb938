"""What must be true of every ledger after every scenario, worked out from its rows alone.

Nothing of the code that wrote them is used but `audit.verify`, which is one check of several.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Any

from sqlalchemy import Row, inspect, select, text

from dispensed.ledger import audit, read
from dispensed.ledger import tables as t
from dispensed.ledger.database import Access, make_engine, store_url
from dispensed.ledger.engine import Store, Tx

Cell = tuple[str, str, str]
Lot = tuple[str, str]

ORIGINS = ("opening", "receive", "found", "produce", "return_to_stock")
"""Kinds of movement by which stock comes to be at the site."""
FATES = ("dispense", "give", "waste", "loss", "return", "destroy", "consume", "sample")
"""Kinds of movement by which it ceases to be there."""
SOMETIMES = "in_transit"
"""It leaves the site by one and comes back by the other."""
OPAQUE_KEY = re.compile(r"[A-Za-z0-9._:-]{1,64}")
MACHINES = ("reconcile", "device:", "dispense-runner", "set-up", "recovery", "cycle-count", "jobs")
"""How the names of actors begin that are no people."""
APPEND_ONLY = ("movement", "audit_event")


def check_ledger(store: Store, *, on_date: date | None = None) -> None:
    """Check an open ledger; raises AssertionError that names the rows."""
    store.read_sync(lambda tx: check(tx, on_date=on_date))


def check_ledger_at(url: str) -> None:
    """Check the ledger at a URL; a database without one is passed over."""
    engine = make_engine(store_url(url), Access.READ)
    try:
        with engine.connect() as tx:
            if inspect(tx).has_table("movement"):
                tx.rollback()
                check(tx)
    finally:
        engine.dispose()


def check(tx: Tx, *, on_date: date | None = None) -> None:
    """Check all that is true of any ledger at any instant, in one transaction."""
    journal = tx.execute(select(t.movement).order_by(t.movement.c.id)).all()
    kept = {
        (row.item_id, row.lot, row.location_id): row for row in tx.execute(select(t.balance)).all()
    }
    on_hand = {cell: row.on_hand for cell, row in kept.items()}
    every_movement_has_two_ends_and_an_author(journal)
    replayed = nothing_was_ever_below_zero(journal)
    balances_are_what_the_journal_says(on_hand, replayed)
    all_accounts_of_a_lot_sum_to_zero(on_hand)
    what_came_is_there_or_went(journal, on_hand)
    a_reversal_is_the_opposite_of_one_movement(journal)
    what_is_held_is_reserved(tx, {cell: row.held for cell, row in kept.items() if row.held})
    last_day = max((row.recorded_at.date() for row in journal), default=date.max)
    nothing_available_is_negative(tx, on_date or last_day)
    what_was_verified_was_counted_as_ordered(tx)
    no_discrepancy_is_open_twice(tx)
    controlled_discrepancies_were_closed_by_people(tx)
    keys_of_patients_are_opaque(tx)
    every_change_has_its_author(tx)
    the_database_still_refuses_to_rewrite(tx)
    report = audit.verify(tx)
    assert report.ok, report.findings


# ---------------------------------------------------------------- the journal


def every_movement_has_two_ends_and_an_author(journal: Sequence[Row[Any]]) -> None:
    for row in journal:
        assert row.source != row.target, row
        assert type(row.milli) is int, row
        assert row.milli > 0, row
        assert row.actor, row
    assert all(first.id + 1 == second.id for first, second in pairwise(journal))


def nothing_was_ever_below_zero(journal: Sequence[Row[Any]]) -> dict[Cell, int]:
    """Replay the journal; returns the balances at its end."""
    cells: dict[Cell, int] = defaultdict(int)
    for row in journal:
        cells[row.item_id, row.lot, row.source] -= row.milli
        cells[row.item_id, row.lot, row.target] += row.milli
        left = cells[row.item_id, row.lot, row.source]
        assert left >= 0 or row.source.startswith("ext:"), (left, row)
    return cells


def balances_are_what_the_journal_says(
    on_hand: Mapping[Cell, int], replayed: Mapping[Cell, int]
) -> None:
    """Compare the balances with those that are rebuilt, as if they had been dropped."""
    assert {cell: n for cell, n in on_hand.items() if n} == {
        cell: n for cell, n in replayed.items() if n
    }


def all_accounts_of_a_lot_sum_to_zero(on_hand: Mapping[Cell, int]) -> None:
    sums: dict[Lot, int] = defaultdict(int)
    for (item_id, lot, _), milli in on_hand.items():
        sums[item_id, lot] += milli
    assert not {lot: total for lot, total in sums.items() if total}


def what_came_is_there_or_went(journal: Sequence[Row[Any]], on_hand: Mapping[Cell, int]) -> None:
    """Per lot: what came by each kind = what lies somewhere + what went by each kind."""
    came: dict[Lot, int] = defaultdict(int)
    went: dict[Lot, int] = defaultdict(int)
    kinds = {row.id: row.kind for row in journal}
    for row in journal:
        kind = row.kind if row.reverses is None else kinds[row.reverses]
        sign = 1 if row.reverses is None else -1
        if kind in ORIGINS:
            came[row.item_id, row.lot] += sign * row.milli
        elif kind in FATES:
            went[row.item_id, row.lot] += sign * row.milli
        elif kind == SOMETIMES:
            back = row.source.startswith("ext:") == (sign > 0)
            went[row.item_id, row.lot] += -row.milli if back else row.milli
        else:
            outside = row.source.startswith("ext:") or row.target.startswith("ext:")
            assert not outside, f"nothing says what {kind} does outside: {row}"
    there: dict[Lot, int] = defaultdict(int)
    for (item_id, lot, place), milli in on_hand.items():
        if not place.startswith("ext:"):
            there[item_id, lot] += milli
    for key in {*came, *went, *there}:
        assert came[key] == there[key] + went[key], (key, came[key], there[key], went[key])


def a_reversal_is_the_opposite_of_one_movement(journal: Sequence[Row[Any]]) -> None:
    rows = {row.id: row for row in journal}
    seen: set[int] = set()
    for row in journal:
        if row.reverses is None:
            assert row.kind != "reversal", row
            continue
        original = rows[row.reverses]
        assert row.reverses not in seen, row
        seen.add(row.reverses)
        assert original.id < row.id, row
        assert original.reverses is None, row
        assert (row.item_id, row.lot, row.source, row.target, row.milli) == (
            original.item_id,
            original.lot,
            original.target,
            original.source,
            original.milli,
        ), row


# ---------------------------------------------------------------- holds


def what_is_held_is_reserved(tx: Tx, held: Mapping[Cell, int]) -> None:
    reserved: dict[Cell, int] = defaultdict(int)
    for row in tx.execute(select(t.reservation).where(t.reservation.c.remaining > 0)):
        assert row.state in ("open", "commanded", "in_doubt"), row
        reserved[row.item_id, row.lot, row.location_id] += row.remaining
    assert dict(held) == dict(reserved)


def nothing_available_is_negative(tx: Tx, on_date: date) -> None:
    for row in read.stock(tx, on_date=on_date):
        assert min(row.on_hand, row.held, row.blocked, row.available) >= 0, row
        assert row.available == row.on_hand - row.held - row.blocked, row


# ---------------------------------------------------------------- what stands beside


def what_was_verified_was_counted_as_ordered(tx: Tx) -> None:
    given = text(
        "SELECT d.id, d.state, d.milli, d.counted_milli, d.verified_by,"
        " (SELECT coalesce(sum(CASE WHEN m.reverses IS NULL THEN m.milli ELSE -m.milli END), 0)"
        "  FROM movement m WHERE m.dispense_id = d.id AND 'ext:dispensed' IN (m.source, m.target)"
        "  AND m.kind IN ('dispense', 'reversal')) AS given FROM dispense d"
    )
    for row in tx.execute(given):
        assert row.given == (row.milli if row.state == "settled" else 0), row
        if row.state in ("verified", "settled"):
            assert row.counted_milli == row.milli, row
            assert row.verified_by, row


def no_discrepancy_is_open_twice(tx: Tx) -> None:
    rows = tx.execute(select(t.discrepancy).where(t.discrepancy.c.state == "open")).all()
    keys = [(row.kind, row.item_id, row.lot, row.location_id) for row in rows]
    assert len(keys) == len(set(keys)), keys


def controlled_discrepancies_were_closed_by_people(tx: Tx) -> None:
    query = (
        select(t.discrepancy, t.item.c.schedule)
        .join(t.item, t.item.c.item_id == t.discrepancy.c.item_id)
        .where(t.discrepancy.c.state == "closed", t.item.c.schedule != "none")
    )
    for row in tx.execute(query):
        assert row.closed_by, row
        assert not row.closed_by.startswith(MACHINES), row
        assert row.reason, row


def keys_of_patients_are_opaque(tx: Tx) -> None:
    for column in (t.dispense.c.patient_key, t.removal.c.patient_key):
        for key in tx.scalars(select(column).distinct()):
            assert OPAQUE_KEY.fullmatch(key), key


def every_change_has_its_author(tx: Tx) -> None:
    nameless = select(t.audit_event).where(t.audit_event.c.actor == "")
    assert tx.execute(nameless).all() == []


def the_database_still_refuses_to_rewrite(tx: Tx) -> None:
    """The triggers of the journal and the trail are there."""
    if tx.dialect.name == "sqlite":
        rows = tx.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
        wanted = {f"{table}_no_{verb}" for table in APPEND_ONLY for verb in ("update", "delete")}
        assert wanted <= set(rows.scalars())
    else:
        rows = tx.execute(
            text("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgenabled <> 'D'")
        )
        assert set(APPEND_ONLY) <= set(rows.scalars())
