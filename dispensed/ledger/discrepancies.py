"""Discrepancies.

Differences between the book and what machines and people found, one open per place.

`difference` is signed thousandths: what was found less what the book says. At most one discrepancy
of a kind is open per item, lot and location (the database enforces it). Those of one item, lot and
location are the causes of one record (`cases`).
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, bindparam, insert, select, update

from dispensed.errors import NotFound
from dispensed.ledger import cases
from dispensed.ledger.cases import CaseClosed
from dispensed.ledger.engine import Tx
from dispensed.ledger.journal import Cell
from dispensed.ledger.stamp import Stamp, audit
from dispensed.ledger.tables import discrepancy, item
from dispensed.model.catalog import Schedule
from dispensed.model.quantity import format_milli

AGREES = "found and book agree again"


class DiscrepancyClosed(CaseClosed):
    """The discrepancy is closed already."""


@dataclass(frozen=True, slots=True)
class DiscrepancyRow:
    """One discrepancy with the item's name, unit and schedule."""

    id: int
    kind: str
    item_id: str
    name: str
    unit: str
    schedule: str
    lot: str
    location_id: str
    difference: int
    state: str
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    detail: str
    reason: str


def set_difference(  # noqa: PLR0913 - the key of a discrepancy and what is known of it
    tx: Tx,
    *,
    kind: str,
    item_id: str,
    lot: str,
    location_id: str,
    difference: int,
    detail: str,
    stamp: Stamp,
) -> None:
    """Make the open discrepancy of a place exactly `difference`: open, resize or close it.

    At 0 an uncontrolled one closes by itself with the reason; a controlled one stays open at 0
    and waits for a person, its detail says that the numbers agree again.
    """
    found = _open_row(tx, kind, item_id, lot, location_id)
    if found is None:
        if difference:
            _insert(tx, kind, item_id, lot, location_id, difference, detail, stamp)
        return
    if difference == 0:
        _agree_again(tx, found.id, item_id, stamp)
    elif (found.difference, found.detail) != (difference, detail):
        tx.execute(
            update(discrepancy)
            .where(discrepancy.c.id == found.id)
            .values(difference=difference, detail=detail, updated_at=stamp.at)
        )
        audit(tx, stamp, "resized", f"discrepancy {found.id}", {"difference": difference})


def add(  # noqa: PLR0913 - the key of a discrepancy and what is known of it
    tx: Tx,
    *,
    kind: str,
    item_id: str,
    lot: str,
    location_id: str,
    change: int,
    detail: str,
    stamp: Stamp,
) -> None:
    """Add `change` to the open discrepancy of a place; opens one when there is none."""
    found = _open_row(tx, kind, item_id, lot, location_id)
    set_difference(
        tx,
        kind=kind,
        item_id=item_id,
        lot=lot,
        location_id=location_id,
        difference=change + (0 if found is None else found.difference),
        detail=detail,
        stamp=stamp,
    )


def close(tx: Tx, discrepancy_id: int, stamp: Stamp, *, code: str = cases.OTHER) -> DiscrepancyRow:
    """Close one with the stamp's reason; with the last one of a place its record closes too.

    `code` is the reason code of the record. Raises NotFound or DiscrepancyClosed.
    """
    row = get(tx, discrepancy_id)
    if row.state != "open":
        raise DiscrepancyClosed(f"discrepancy {discrepancy_id} was closed by {row.closed_by}")
    _close(tx, discrepancy_id, stamp, stamp.reason, code)
    return get(tx, discrepancy_id)


def get(tx: Tx, discrepancy_id: int) -> DiscrepancyRow:
    """Return one; raises NotFound."""
    row = tx.execute(_SELECT.where(discrepancy.c.id == discrepancy_id)).one_or_none()
    if row is None:
        raise NotFound(f"no discrepancy {discrepancy_id}")
    return _row(row)


def page(
    tx: Tx, *, state: str | None = "open", after: int = 0, limit: int = 1000
) -> tuple[DiscrepancyRow, ...]:
    """Return discrepancies by ascending id, of one state or all."""
    query = _SELECT.where(discrepancy.c.id > after).order_by(discrepancy.c.id).limit(limit)
    if state is not None:
        query = query.where(discrepancy.c.state == state)
    return tuple(_row(row) for row in tx.execute(query))


def open_of(tx: Tx, kind: str, cell: Cell) -> tuple[int, int] | None:
    """Return number and difference of the open discrepancy of a kind at a place, None for none."""
    found = _open_row(tx, kind, cell.item_id, cell.lot, cell.location_id)
    return None if found is None else (int(found.id), int(found.difference))


def case_of(tx: Tx, kind: str, cell: Cell) -> tuple[int, int]:
    """Return number and record of the open discrepancy of a kind at a place; raises NotFound."""
    found = open_of(tx, kind, cell)
    case_id = cases.open_case_of(tx, cell)
    if found is None or case_id is None:
        raise NotFound(f"no open {kind} discrepancy of lot {cell.lot} at {cell.location_id}")
    return found[0], case_id


def open_lots(tx: Tx, kind: str, location_id: str) -> set[tuple[str, str]]:
    """Return the (item, lot) pairs with an open discrepancy of a kind at a location."""
    rows = tx.execute(
        select(discrepancy.c.item_id, discrepancy.c.lot).where(
            discrepancy.c.kind == kind,
            discrepancy.c.location_id == location_id,
            discrepancy.c.state == "open",
        )
    )
    return {(row.item_id, row.lot) for row in rows}


_SELECT = select(discrepancy, item.c.name, item.c.unit, item.c.schedule).join(
    item, item.c.item_id == discrepancy.c.item_id
)


def _row(row: Row[*tuple[object, ...]]) -> DiscrepancyRow:
    data = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return DiscrepancyRow(**{name: data[name] for name in DiscrepancyRow.__dataclass_fields__})


def _open_row(
    tx: Tx, kind: str, item_id: str, lot: str, location_id: str
) -> Row[int, int, str] | None:
    key = {"b_kind": kind, "b_item": item_id, "b_lot": lot, "b_location": location_id}
    return tx.execute(_OPEN_ROW, key).one_or_none()


# Built once: asked with most messages of a device.
_OPEN_ROW = select(discrepancy.c.id, discrepancy.c.difference, discrepancy.c.detail).where(
    discrepancy.c.kind == bindparam("b_kind"),
    discrepancy.c.item_id == bindparam("b_item"),
    discrepancy.c.lot == bindparam("b_lot"),
    discrepancy.c.location_id == bindparam("b_location"),
    discrepancy.c.state == "open",
)


def _insert(  # noqa: PLR0913 - the columns of one row
    tx: Tx,
    kind: str,
    item_id: str,
    lot: str,
    location_id: str,
    difference: int,
    detail: str,
    stamp: Stamp,
) -> None:
    made = tx.execute(
        insert(discrepancy).returning(discrepancy.c.id),
        {
            "kind": kind,
            "item_id": item_id,
            "lot": lot,
            "location_id": location_id,
            "difference": difference,
            "state": "open",
            "opened_at": stamp.at,
            "detail": detail,
            "reason": "",
            "updated_at": stamp.at,
            "recorded_at": stamp.at,
        },
    ).scalar_one()
    cases.attach(tx, int(made), Cell(item_id, lot, location_id), stamp)
    audit(
        tx,
        stamp,
        "opened",
        f"discrepancy {kind} {item_id}/{lot}@{location_id}",
        {"difference": format_milli(difference)},
    )


def _agree_again(tx: Tx, discrepancy_id: int, item_id: str, stamp: Stamp) -> None:
    schedule = tx.execute(select(item.c.schedule).where(item.c.item_id == item_id)).scalar_one()
    if Schedule(schedule).is_controlled:
        tx.execute(
            update(discrepancy)
            .where(discrepancy.c.id == discrepancy_id)
            .values(difference=0, detail=f"{AGREES}; a person must close it", updated_at=stamp.at)
        )
    else:
        _close(tx, discrepancy_id, stamp, AGREES, cases.AGREES)


def _close(tx: Tx, discrepancy_id: int, stamp: Stamp, reason: str, code: str) -> None:
    tx.execute(
        update(discrepancy)
        .where(discrepancy.c.id == discrepancy_id)
        .values(
            state="closed",
            closed_at=stamp.at,
            closed_by=stamp.actor,
            reason=reason,
            updated_at=stamp.at,
        )
    )
    audit(tx, stamp, "closed", f"discrepancy {discrepancy_id}", {"why": reason})
    cases.cause_closed(tx, discrepancy_id, code, stamp, reason)
