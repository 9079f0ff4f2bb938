"""The label of a fill: what it says, as data for a label printer."""

from datetime import date

from dispensed.model.catalog import Item
from dispensed.model.gs1 import label_elements
from dispensed.model.quantity import format_milli
from drivers.base import Label

NAME_MAX = 60


def fill_label(
    item: Item, *, lot: str, expiry: date | None, milli: int, title: str, order_ref: str
) -> Label:
    """Return the label of one lot's part of a fill.

    The GS1 elements are (01) GTIN, (17) expiry YYMMDD and (10) lot, in that order; without a GTIN
    or an expiry there is no code, because (17) and (10) mean nothing without (01). It names no
    patient.
    """
    gs1: tuple[tuple[str, str], ...] = ()
    if item.gtin is not None and expiry is not None:
        gs1 = label_elements(gtin=item.gtin, lot=lot, expiry=expiry)
    code = f"NDC {item.ndc}" if item.ndc is not None else f"Item {item.item_id}"
    return Label(
        title=title,
        lines=(
            f"{item.name} {item.strength}"[:NAME_MAX],
            f"{item.form}  Qty {format_milli(milli)} {item.unit}",
            f"Lot {lot}  Exp {expiry.isoformat() if expiry is not None else 'unknown'}",
            f"{code}  Order {order_ref}",
        ),
        gs1=gs1,
    )
