"""Order forms of schedule II: what was ordered on which line, and what came of it.

A receipt names form and line; more than was ordered on a line is refused (21 CFR 1305.13, 1305.22:
the purchaser records how many containers came on each item, and when).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from sqlalchemy import and_, func, insert, select

from dispensed.errors import Conflict, Invalid, NotFound
from dispensed.ledger import catalog
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Tx
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.controlled import RULES, order_form_valid_until
from dispensed.model.quantity import format_milli

LINE_MAX = 999
PACKAGES_MAX = 100_000


class UnknownOrderForm(NotFound):
    """There is no order form of that number, or it has no such line."""

    code: ClassVar[str] = "order_form_not_found"


class OrderFormExists(Conflict):
    """The number is that of another order form."""

    code: ClassVar[str] = "order_form_exists"


class OrderFormNeeded(Conflict):
    """Schedule II is received against a line of an order form only."""

    code: ClassVar[str] = "order_form_needed"


class OverReceipt(Conflict):
    """More came than was ordered on the line."""

    code: ClassVar[str] = "over_receipt"


@dataclass(frozen=True, slots=True)
class FormLine:
    """One line: so many packages of so much of one item."""

    line: int
    item_id: str
    packages: int
    package_milli: int


@dataclass(frozen=True, slots=True)
class LineRow:
    """One line with what came on it so far, in thousandths; reversed receipts do not count."""

    line: int
    item_id: str
    name: str
    unit: str
    packages: int
    package_milli: int
    ordered_milli: int
    received_milli: int
    last_received_on: date | None


@dataclass(frozen=True, slots=True)
class FormRow:
    """One order form; a supplier may fill it through `valid_until`."""

    number: str
    kind: str
    supplier: str
    ordered_on: date
    valid_until: date
    actor: str
    lines: tuple[LineRow, ...]


def put(  # noqa: PLR0913 - what stands on the form
    tx: Tx,
    number: str,
    *,
    kind: str,
    supplier: str,
    ordered_on: date,
    lines: Sequence[FormLine],
    stamp: Stamp,
) -> FormRow:
    """Record an order form; the same one again changes nothing.

    Raises Invalid for no line, a line twice or an item that needs no form, UnknownItem, and
    OrderFormExists when another form has the number.
    """
    known = t.order_form.c.number == number
    if tx.execute(select(t.order_form.c.number).where(known)).scalar() is not None:
        return _same(get(tx, number), supplier, ordered_on, lines)
    _check_lines(tx, number, lines)
    form = {"number": number, "kind": kind, "supplier": supplier, "ordered_on": ordered_on}
    tx.execute(insert(t.order_form), {**form, "actor": stamp.actor, "recorded_at": stamp.at})
    for line in lines:
        row = {"number": number, "line": line.line, "item_id": line.item_id}
        sizes = {"packages": line.packages, "package_milli": line.package_milli}
        tx.execute(insert(t.order_form_line), {**row, **sizes, "recorded_at": stamp.at})
    audit(tx, stamp, "order_form.recorded", f"order form {number}", {"lines": len(lines)})
    return get(tx, number)


def receive(
    tx: Tx, movement_id: int, number: str, line: int, *, received_on: date, stamp: Stamp
) -> None:
    """Record that a posted receipt came on a line of a form.

    Raises UnknownOrderForm, Invalid when the line is of another item, OverReceipt when more came
    than was ordered.
    """
    wanted = [row for row in get(tx, number).lines if row.line == line]
    if not wanted:
        raise UnknownOrderForm(f"order form {number} has no line {line}")
    moved = tx.execute(select(t.movement).where(t.movement.c.id == movement_id)).one()
    row = wanted[0]
    if row.item_id != moved.item_id:
        raise Invalid(f"line {line} of order form {number} is item {row.item_id} {row.name}")
    if row.received_milli + moved.milli > row.ordered_milli:
        raise OverReceipt(
            f"line {line} of order form {number}: {format_milli(row.ordered_milli)} {row.unit}"
            f" ordered, {format_milli(row.received_milli)} received, {format_milli(moved.milli)}"
            " more came"
        )
    tx.execute(
        insert(t.order_form_receipt),
        {
            "movement_id": movement_id,
            "number": number,
            "line": line,
            "milli": moved.milli,
            "received_on": received_on,
            "recorded_at": stamp.at,
        },
    )


def get(tx: Tx, number: str) -> FormRow:
    """Return one; raises UnknownOrderForm."""
    form = tx.execute(select(t.order_form).where(t.order_form.c.number == number)).one_or_none()
    if form is None:
        raise UnknownOrderForm(f"there is no order form {number}")
    return FormRow(
        number=form.number,
        kind=form.kind,
        supplier=form.supplier,
        ordered_on=form.ordered_on,
        valid_until=order_form_valid_until(form.ordered_on),
        actor=form.actor,
        lines=_lines(tx, number),
    )


def page(tx: Tx, *, after: str = "", limit: int = 100) -> tuple[FormRow, ...]:
    """Return order forms by ascending number, after a number, at most `limit`."""
    numbers = (
        select(t.order_form.c.number)
        .where(t.order_form.c.number > after)
        .order_by(t.order_form.c.number)
        .limit(limit)
    )
    return tuple(get(tx, number) for number in tx.scalars(numbers).all())


def _lines(tx: Tx, number: str) -> tuple[LineRow, ...]:
    came = t.order_form_receipt.c
    line = t.order_form_line.c
    undone = select(t.movement.c.reverses).where(t.movement.c.reverses.is_not(None))
    query = (
        select(
            t.order_form_line,
            t.item.c.name,
            t.item.c.unit,
            func.coalesce(func.sum(came.milli), 0).label("received"),
            func.max(came.received_on).label("last"),
        )
        .join(t.item, t.item.c.item_id == line.item_id)
        .outerjoin(
            t.order_form_receipt,
            and_(
                came.number == line.number, came.line == line.line, came.movement_id.not_in(undone)
            ),
        )
        .where(line.number == number)
        .group_by(*t.order_form_line.c, t.item.c.name, t.item.c.unit)
        .order_by(line.line)
    )
    return tuple(
        LineRow(
            line=row.line,
            item_id=row.item_id,
            name=row.name,
            unit=row.unit,
            packages=row.packages,
            package_milli=row.package_milli,
            ordered_milli=row.packages * row.package_milli,
            received_milli=int(row.received),
            last_received_on=row.last,
        )
        for row in tx.execute(query)
    )


def _check_lines(tx: Tx, number: str, lines: Sequence[FormLine]) -> None:
    if not lines or len({line.line for line in lines}) < len(lines):
        raise Invalid(f"order form {number}: at least one line, each number once")
    for line in lines:
        item = catalog.get_item(tx, line.item_id)
        if not RULES[item.schedule].order_form:
            raise Invalid(f"item {item.item_id} is {item.schedule}: no order form is needed")
        if not (0 < line.line <= LINE_MAX and 0 < line.packages <= PACKAGES_MAX):
            raise Invalid(f"order form {number}: line {line.line}, {line.packages} packages")
        if line.package_milli <= 0:
            raise Invalid(f"order form {number}: line {line.line} has empty packages")


def _same(known: FormRow, supplier: str, ordered_on: date, lines: Sequence[FormLine]) -> FormRow:
    there = [FormLine(x.line, x.item_id, x.packages, x.package_milli) for x in known.lines]
    if (known.supplier, known.ordered_on, there) != (
        supplier,
        ordered_on,
        sorted(lines, key=lambda line: line.line),
    ):
        raise OrderFormExists(f"order form {known.number} is on record with other contents")
    return known
