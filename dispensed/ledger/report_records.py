"""Rows of the reports on records that are kept of their own: controlled, recalls, discrepancies."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta

from sqlalchemy import select

from dispensed.ledger import cases, inventories, recall_cases, recall_places, removals
from dispensed.ledger import tables as t
from dispensed.ledger.cases import CaseRow
from dispensed.ledger.controlled import controlled_record
from dispensed.ledger.engine import Tx
from dispensed.ledger.removals import RemovalRow
from dispensed.model.quantity import MILLI
from dispensed.model.report import Asked, Gathering

PAGE = 500
"""Records read at once."""
DAY = timedelta(days=1)


# ---------------------------------------------------------------- controlled substances

RECORD = (
    "id:count",
    "occurred_at:time:when",
    "recorded_at:time:recorded",
    "kind",
    "lot",
    "source::from",
    "target::to",
    "change:amount",
    "balance:amount",
    "unit",
    "actor",
    "witness",
    "reference",
    "reason",
)


def controlled(tx: Tx, asked: Asked, into: Gathering) -> None:
    """The perpetual record of one controlled item in the order of the journal.

    The time asked for is that of recording.
    """
    after, balance, unit = 0, 0, ""
    while True:
        record = controlled_record(
            tx, asked.item or "", asked.begin, asked.end, after=after, limit=PAGE
        )
        unit = record.unit
        if not after:
            balance = record.opening
            into.total("opening", balance, unit)
            into.total("in", 0, unit)
            into.total("out", 0, unit)
        for line in record.lines:
            balance = line.balance
            into.total("in", max(line.change, 0), unit)
            into.total("out", max(-line.change, 0), unit)
            into.add(
                line.id,
                line.occurred_at,
                line.recorded_at,
                line.kind,
                line.lot,
                line.source,
                line.target,
                line.change,
                line.balance,
                unit,
                line.actor,
                line.witness,
                line.reference,
                line.reason,
            )
        if record.next_after is None:
            break
        after = record.next_after
    into.total("closing", balance, unit)


INVENTORY = (
    "item_id::item",
    "name",
    "strength",
    "form",
    "schedule",
    "lot",
    "location_id::place",
    "counted:amount",
    "unit",
    "method",
    "container:amount:content of a container",
    "counted_by::counted by",
    "counted_at:time:counted",
)


def inventory(tx: Tx, asked: Asked, into: Gathering) -> None:
    """An initial or biennial inventory of controlled substances, as it was counted.

    What the book said is no part of it, so that nobody counts towards a number.
    """
    found = inventories.get(tx, asked.number or 0)
    for line in found.lines:
        into.total("counted", line.milli, line.unit)
        into.add(
            line.item_id,
            line.name,
            line.strength,
            line.form,
            line.schedule,
            line.lot,
            line.location_id,
            line.milli,
            line.unit,
            line.method,
            line.container_milli,
            line.actor,
            line.counted_at,
        )
    taken = f"{found.kind} inventory {found.id} as of {found.moment} of business on {found.on_date}"
    signed = [
        f"signed by {each.person} at {each.signed_at.astimezone(asked.zone):%Y-%m-%d %H:%M %z}"
        for each in found.signatures
    ]
    missing = max(found.signatures_needed - len(signed), 0)
    unsigned = (f"{missing} signatures are missing",) if missing else ()
    into.notes = (taken, *signed, *unsigned)


REMOVALS = (
    "id:count",
    "removed_at:time:removed",
    "hours:amount",
    "person",
    "item_id::item",
    "name",
    "schedule",
    "lot",
    "location_id::from",
    "removed:amount",
    "given:amount",
    "returned:amount",
    "wasted:amount",
    "open:amount",
    "unit",
    "patient_key::patient key",
    "order_ref::order",
    "override",
)


def open_removals(tx: Tx, asked: Asked, into: Gathering) -> None:
    """Removals of which something is not given, returned or wasted yet, the oldest first."""
    for row in _open(tx):
        if asked.item not in (None, row.item_id):
            continue
        into.total("open", row.remaining, row.unit)
        into.count("removals")
        into.add(
            row.id,
            row.removed_at,
            (asked.now - row.removed_at) * MILLI // timedelta(hours=1),
            row.actor,
            row.item_id,
            row.name,
            row.schedule,
            row.lot,
            row.location_id,
            row.milli,
            row.given,
            row.returned,
            row.wasted,
            row.remaining,
            row.unit,
            row.patient_key,
            row.order_ref,
            row.override_reason,
        )


def _open(tx: Tx) -> Iterator[RemovalRow]:
    after = 0
    while rows := removals.page(tx, after=after, limit=PAGE):
        yield from rows
        after = rows[-1].id


# ---------------------------------------------------------------- discrepancies

DISCREPANCIES = (
    "id:count",
    "opened_at:time:opened",
    "days_open:count:days open",
    "age",
    "due_at:time:due",
    "overdue",
    "owner",
    "item_id::item",
    "name",
    "schedule",
    "lot",
    "location_id::place",
    "kind",
    "size:amount",
    "unit",
    "detail",
)
AGES = ((1, "up to 1 day"), (3, "up to 3 days"), (7, "up to 7 days"), (30, "up to 30 days"))
OLDER = "more than 30 days"


def discrepancy_ageing(tx: Tx, asked: Asked, into: Gathering) -> None:
    """Open discrepancies by how long they are open; how many of each age, and how many overdue."""
    for label in (*(label for _, label in AGES), OLDER):
        into.count(label, 0)
    into.count("overdue", 0)
    for row in _discrepancies(tx, asked):
        open_for = asked.now - row.opened_at
        age = next((label for days, label in AGES if open_for <= days * DAY), OLDER)
        overdue = asked.now > row.due_at
        into.count(age)
        into.count("overdue", int(overdue))
        into.add(
            row.id,
            row.opened_at,
            open_for // DAY,
            age,
            row.due_at,
            "overdue" if overdue else "",
            row.owner,
            row.item_id,
            row.name,
            row.schedule,
            row.lot,
            row.location_id,
            row.kind,
            row.size,
            row.unit,
            row.detail,
        )


def _discrepancies(tx: Tx, asked: Asked) -> Iterator[CaseRow]:
    after = 0
    while rows := cases.page(
        tx, item_id=asked.item, location_id=asked.location, after=after, limit=PAGE
    ):
        yield from rows
        after = rows[-1].id


# ---------------------------------------------------------------- recalls

RECALL = (
    "item_id::item",
    "name",
    "lot",
    "location_id::place",
    "state",
    "asked_at:time:asked",
    "due_at:time:due",
    "book:amount",
    "found:amount",
    "moved:amount",
    "target::to",
    "unit",
    "answered_by::answered by",
    "answered_at:time:answered",
    "note",
)


def recall_case(tx: Tx, asked: Asked, into: Gathering) -> None:
    """A recall: what each place answered, and where everything of its lots is."""
    case = recall_cases.get(tx, asked.number or 0)
    for task in recall_places.tasks(tx, case.id):
        into.count("places asked")
        into.count("places that answered", int(task.found is not None))
        into.total("found", task.found or 0, task.unit)
        into.total("moved", task.moved or 0, task.unit)
        into.add(
            task.item_id,
            task.name,
            task.lot,
            task.location_id,
            task.state,
            task.recorded_at,
            task.due_at,
            task.book,
            task.found,
            task.moved,
            task.target,
            task.unit,
            task.actor,
            task.answered_at,
            task.note,
        )
    keys = recall_cases.covered(tx, case.id)
    items = select(t.item.c.item_id, t.item.c.unit)
    items = items.where(t.item.c.item_id.in_({key.item_id for key in keys}))
    units = {row.item_id: row.unit for row in tx.execute(items)}
    for key, sums in recall_places.sums(tx, keys).items():
        for label, milli in asdict(sums).items():
            into.total(label.replace("_", " "), milli, units[key.item_id])
    signed = [
        f"signed by {each.actor} at {each.signed_at.astimezone(asked.zone):%Y-%m-%d %H:%M %z}:"
        f" {each.statement}"
        for each in recall_places.signatures(tx, case.id)
    ]
    into.notes = (
        f"{case.reference}, class {case.recall_class}, {case.state}: {case.product}",
        f"{case.labeler}: {case.reason}",
        *signed,
    )
