"""The labels of fills and of repacked units: what they say, as data for a label printer."""

from collections.abc import Sequence
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
    return Label(
        title=title,
        lines=(
            f"{item.name} {item.strength}"[:NAME_MAX],
            f"{item.form}  Qty {format_milli(milli)} {item.unit}",
            f"Lot {lot}  Exp {expiry.isoformat() if expiry is not None else 'unknown'}",
            f"{_code(item)}  Order {order_ref}",
        ),
        gs1=_gs1(item, lot, expiry),
    )


def unit_label(
    item: Item, *, lot: str, use_by: date, milli: int, title: str, maker_lots: Sequence[str]
) -> Label:
    """Return the label of one repacked unit: `lot` is its own number, `maker_lots` those of origin.

    It says what 68 Ill. Adm. Code 1330.730(b) and COMAR 10.34.03.09 D ask for: name and strength,
    manufacturer, its lot, the beyond-use date and the pharmacy's lot number.
    """
    return Label(
        title=title,
        lines=(
            f"{item.name} {item.strength}"[:NAME_MAX],
            f"{item.form}  Qty {format_milli(milli)} {item.unit}",
            f"Lot {lot}  Use by {use_by.isoformat()}",
            f"{item.labeler} lot {', '.join(maker_lots)}"[:NAME_MAX],
            _code(item),
        ),
        gs1=_gs1(item, lot, use_by),
    )


def _code(item: Item) -> str:
    return f"NDC {item.ndc}" if item.ndc is not None else f"Item {item.item_id}"


def _gs1(item: Item, lot: str, expiry: date | None) -> tuple[tuple[str, str], ...]:
    if item.gtin is None or expiry is None:
        return ()
    return label_elements(gtin=item.gtin, lot=lot, expiry=expiry)
