"""Batches that leave: back to a supplier, to a reverse distributor, or into destruction.

Packing moves stock into the batch's own place, sealing freezes the lines and proves them equal to
their movements, and only then may the batch leave. Controlled substances need the number of the DEA
form, and two persons when they go to a reverse distributor or are destroyed.
"""

import csv
import io
from dataclasses import dataclass
from typing import ClassVar

from dispensed.errors import Conflict, Invalid
from dispensed.ledger import batches, catalog, post
from dispensed.ledger.batches import TARGETS, BatchLine, BatchRow
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Move, Stamp
from dispensed.model.catalog import Location, LocationKind
from dispensed.model.movement import MovementKind
from dispensed.model.outdating import (
    BatchKind,
    BatchState,
    batch_step,
    form_needed,
    persons_needed,
)
from dispensed.model.quantity import Quantity, format_milli
from dispensed.services import booking
from dispensed.services.places import OUTDATE
from dispensed.services.site import Site

TEXT_MAX = 128
DOCUMENT = "dispensed-batch-1"
"""Name and version of the document's form."""


class BatchNotOpen(Conflict):
    """The lines of a batch change only while it is open."""

    code: ClassVar[str] = "batch_not_open"


class FormMissing(Conflict):
    """Controlled substances in the batch need the number of a DEA form."""

    code: ClassVar[str] = "dea_form_missing"


class SecondPersonNeeded(Conflict):
    """The other person must say it too."""

    code: ClassVar[str] = "second_person_needed"


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch to open: its kind, to whom it goes, and a reference of theirs (RA number)."""

    kind: str
    partner: str
    reference: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pack:
    """Stock to put into a batch; `quantity` is plain decimal text in the item's unit."""

    batch_id: int
    item_id: str
    lot: str
    quantity: str
    request_id: str
    source: str = OUTDATE
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch with its lines; `persons_needed` is how many must say that it left."""

    row: BatchRow
    lines: tuple[BatchLine, ...]
    form_needed: str
    persons_needed: int


async def open_batch(site: Site, asked: NewBatch, actor: str) -> Batch:
    """Open an empty batch and make its place."""
    if asked.kind not in tuple(BatchKind):
        raise Invalid(f"batch kind {asked.kind!r} is not one of {', '.join(BatchKind)}")
    if not asked.partner.strip() or len(asked.partner) > TEXT_MAX:
        raise Invalid(f"say in 1 to {TEXT_MAX} characters who gets or destroys the batch")
    stamp = site.stamp(actor, asked.reason)

    def write(tx: Tx) -> Batch:
        batch_id = batches.create(
            tx, BatchKind(asked.kind), asked.partner, asked.reference[:TEXT_MAX], stamp
        )
        place = Location(f"{batches.PLACE_PREFIX}{batch_id}", LocationKind.OUTDATE)
        catalog.put_location(tx, place, stamp)
        batches.set_place(tx, batch_id, place.location_id)
        return _batch(tx, batch_id)

    return await site.store.write(write)


async def batch(site: Site, batch_id: int) -> Batch:
    """Return one batch with its lines; raises NotFound."""
    return await site.store.read(lambda tx: _batch(tx, batch_id))


async def batches_of(site: Site, *, state: str | None = None) -> tuple[BatchRow, ...]:
    """Return batches of a state or all, oldest first."""
    if state is not None and state not in tuple(BatchState):
        raise Invalid(f"batch state {state!r} is not one of {', '.join(BatchState)}")
    return await site.store.read(lambda tx: batches.page(tx, state=state))


def _batch(tx: Tx, batch_id: int) -> Batch:
    row = batches.get(tx, batch_id)
    lines = batches.lines(tx, batch_id)
    schedules = [line.schedule for line in lines]
    return Batch(row, lines, form_needed(row.kind, schedules), persons_needed(row.kind, schedules))


# ---------------------------------------------------------------- packing


async def pack(site: Site, asked: Pack, actor: str) -> Batch:
    """Put stock of a lot into an open batch; a repeat of the same request packs it once."""
    stamp = site.stamp(actor, asked.reason)

    def write(tx: Tx) -> Batch:
        row = _open_batch(tx, asked.batch_id)
        item = catalog.get_item(tx, asked.item_id)
        move = Move(
            kind=MovementKind.TRANSFER,
            item_id=item.item_id,
            lot=asked.lot,
            source=asked.source,
            target=row.location_id,
            milli=Quantity.parse(asked.quantity, item.unit).milli,
            request_id=asked.request_id,
            occurred_at=site.now(),
        )
        posted = post.post(tx, move, stamp, on_date=site.today())
        batches.add_line(tx, row.id, posted.movement_id, stamp)
        return _batch(tx, row.id)

    done = await site.store.write(write)
    site.changes.notify("stock")
    return done


async def unpack(site: Site, batch_id: int, line_id: int, reason: str, actor: str) -> Batch:
    """Take a line out of an open batch; the stock goes back to where it was packed from."""
    _check_reason(batch_id, reason)
    stamp = site.stamp(actor, reason)

    def write(tx: Tx) -> Batch:
        row = _open_batch(tx, batch_id)
        found = [line for line in batches.lines(tx, batch_id) if line.id == line_id]
        if not found:
            raise Invalid(f"batch {batch_id} has no line {line_id}")
        back = post.reverse(
            tx,
            found[0].movement_id,
            request_id=f"batch:{row.id}:unpack:{line_id}",
            occurred_at=site.now(),
            stamp=stamp,
        )
        batches.line_removed(tx, batch_id, line_id, back.movement_id, stamp)
        booking.sync_unbooked(tx, found[0].item_id, found[0].lot, found[0].source, stamp)
        return _batch(tx, batch_id)

    done = await site.store.write(write)
    site.changes.notify("stock")
    return done


def _open_batch(tx: Tx, batch_id: int) -> BatchRow:
    row = batches.get(tx, batch_id)
    if row.state is not BatchState.OPEN:
        raise BatchNotOpen(f"batch {batch_id} is {row.state}: its lines are fixed")
    return row


def _check_reason(batch_id: int, reason: str) -> None:
    if not reason.strip():
        raise Invalid(f"batch {batch_id}: say why")


# ---------------------------------------------------------------- seal, leave, end


async def seal(site: Site, batch_id: int, dea_reference: str, actor: str) -> Batch:
    """Fix the lines of a batch; raises BatchDiffers unless they equal their movements exactly.

    `dea_reference` is the number of the DEA form that controlled lines need (else FormMissing). An
    empty batch is refused.
    """

    def write(tx: Tx) -> Batch:
        known = _batch(tx, batch_id)
        batch_step(known.row.kind, known.row.state, BatchState.SEALED)
        if not known.lines:
            raise Conflict(f"batch {batch_id} is empty")
        batches.check(tx, batch_id)
        reference = dea_reference.strip()[:TEXT_MAX]
        if known.form_needed and not reference:
            raise FormMissing(
                f"batch {batch_id} holds controlled substances: give the number of DEA Form"
                f" {known.form_needed}"
            )
        stamp = site.stamp(actor)
        batches.step(
            tx,
            batch_id,
            BatchState.SEALED,
            stamp,
            sealed_by=actor,
            sealed_at=stamp.at,
            dea_form=known.form_needed,
            dea_reference=reference,
        )
        return _batch(tx, batch_id)

    return await site.store.write(write)


async def reopen(site: Site, batch_id: int, reason: str, actor: str) -> Batch:
    """Open a sealed batch again; what the first of two persons said of it no longer counts."""
    _check_reason(batch_id, reason)

    def write(tx: Tx) -> Batch:
        none = dict.fromkeys(("sealed_by", "sealed_at", "first_person", "first_at"))
        batches.step(tx, batch_id, BatchState.OPEN, site.stamp(actor, reason), **none)
        return _batch(tx, batch_id)

    return await site.store.write(write)


async def leave(site: Site, batch_id: int, actor: str, *, method: str = "") -> Batch:
    """Say that a sealed batch was shipped or destroyed; the stock leaves the book.

    Where two persons are needed the first one's word is kept and nothing moves; the second one's
    does it. Raises SecondPersonNeeded when that is the same person, and for destruction Invalid
    without the `method`.
    """

    def write(tx: Tx) -> Batch:
        known = _batch(tx, batch_id)
        row = known.row
        destroyed = row.kind is BatchKind.DESTRUCTION
        to = BatchState.DESTROYED if destroyed else BatchState.SHIPPED
        batch_step(row.kind, row.state, to)
        how = method.strip()[:TEXT_MAX] or row.method
        if destroyed and not how:
            raise Invalid(f"batch {batch_id}: say by which method it was destroyed")
        stamp = site.stamp(actor, how)
        if known.persons_needed > 1 and not _second_person(tx, row, how, stamp):
            return _batch(tx, batch_id)
        batches.check(tx, batch_id)
        for line in known.lines:
            _take_out(tx, site, row, line, stamp)
        batches.step(tx, batch_id, to, stamp, left_by=actor, left_at=stamp.at, method=how)
        batches.check(tx, batch_id)
        return _batch(tx, batch_id)

    done = await site.store.write(write)
    site.changes.notify("stock")
    return done


def _second_person(tx: Tx, row: BatchRow, method: str, stamp: Stamp) -> bool:
    """Keep the first person's word and return False; return True when this is another person."""
    if row.first_person is None:
        batches.change(
            tx, row.id, stamp, first_person=stamp.actor, first_at=stamp.at, method=method
        )
        return False
    if row.first_person == stamp.actor:
        raise SecondPersonNeeded(
            f"batch {row.id}: {row.first_person} has said it; 21 CFR 1317.95 asks for two persons"
        )
    return True


def _take_out(tx: Tx, site: Site, row: BatchRow, line: BatchLine, stamp: Stamp) -> None:
    destroyed = row.kind is BatchKind.DESTRUCTION
    move = Move(
        kind=MovementKind.DESTROY if destroyed else MovementKind.RETURN,
        item_id=line.item_id,
        lot=line.lot,
        source=row.location_id,
        target=TARGETS[row.kind],
        milli=line.milli,
        request_id=f"batch:{row.id}:left:{line.id}",
        occurred_at=site.now(),
    )
    batches.line_left(tx, line.id, post.post(tx, move, stamp, on_date=site.today()).movement_id)


async def credit(site: Site, batch_id: int, cents: int, reference: str, actor: str) -> Batch:
    """Note the credit that came for a shipped batch, in minor units of the currency."""
    if cents < 0:
        raise Invalid(f"batch {batch_id}: a credit of {cents} is not possible")

    def write(tx: Tx) -> Batch:
        batches.step(
            tx,
            batch_id,
            BatchState.CREDITED,
            site.stamp(actor, reference),
            credit_cents=cents,
            credit_reference=reference[:TEXT_MAX],
        )
        return _batch(tx, batch_id)

    return await site.store.write(write)


async def close(site: Site, batch_id: int, reason: str, actor: str) -> Batch:
    """Close a batch that left, or cancel an empty open one; the reason is kept."""
    _check_reason(batch_id, reason)

    def write(tx: Tx) -> Batch:
        row = batches.get(tx, batch_id)
        to = BatchState.CANCELLED if row.state is BatchState.OPEN else BatchState.CLOSED
        if to is BatchState.CANCELLED and batches.lines(tx, batch_id):
            raise Conflict(f"batch {batch_id} is not empty: unpack its lines first")
        batches.step(tx, batch_id, to, site.stamp(actor, reason), reason=reason)
        return _batch(tx, batch_id)

    return await site.store.write(write)


# ---------------------------------------------------------------- document

COLUMNS = (
    "line",
    "ndc",
    "item_id",
    "name",
    "strength",
    "form",
    "labeler",
    "schedule",
    "lot",
    "expiry",
    "quantity",
    "unit",
    "full_packs",
    "partial",
    "movement_id",
    "left_movement_id",
)
"""Columns of the document; NDC, name, strength, form and packs are what DEA Form 41 asks for."""

Cell = str | int | None


async def document(site: Site, batch_id: int) -> dict[str, object]:
    """Return the document of a batch that is sealed or has left; its lines are its movements.

    Raises BatchDiffers when they are not, Conflict for a batch that is open or was cancelled.
    """

    def query(tx: Tx) -> dict[str, object]:
        known = _batch(tx, batch_id)
        if known.row.state in (BatchState.OPEN, BatchState.CANCELLED):
            raise Conflict(f"batch {batch_id} is {known.row.state}: seal it first")
        batches.check(tx, batch_id)
        return _document(known)

    return await site.store.read(query)


def _document(known: Batch) -> dict[str, object]:
    row = known.row
    persons = [name for name in (row.first_person, row.left_by) if name is not None]
    return {
        "document": DOCUMENT,
        "batch": row.id,
        "kind": row.kind.value,
        "state": row.state.value,
        "partner": row.partner,
        "reference": row.reference,
        "dea_form": row.dea_form,
        "dea_reference": row.dea_reference,
        "method": row.method,
        "sealed_by": row.sealed_by,
        "sealed_at": None if row.sealed_at is None else row.sealed_at.isoformat(),
        "persons": persons,
        "left_at": None if row.left_at is None else row.left_at.isoformat(),
        "lines": [
            dict(zip(COLUMNS, _cells(number, line), strict=True))
            for number, line in enumerate(known.lines, start=1)
        ],
    }


def _cells(number: int, line: BatchLine) -> tuple[Cell, ...]:
    packs, rest = divmod(line.milli, line.pack_milli)
    return (
        number,
        line.ndc,
        line.item_id,
        line.name,
        line.strength,
        line.form,
        line.labeler,
        line.schedule,
        line.lot,
        None if line.expiry is None else line.expiry.isoformat(),
        format_milli(line.milli),
        line.unit,
        packs,
        format_milli(rest),
        line.movement_id,
        line.left_movement_id,
    )


def as_csv(document_: dict[str, object]) -> str:
    """Write the lines of a document as CSV with a line of heads."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    lines = document_["lines"]
    if isinstance(lines, list):
        writer.writerows(lines)
    return text.getvalue()
