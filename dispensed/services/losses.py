"""Thefts and losses: cases with their clocks, and what Form 106 asks."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dispensed.errors import Invalid
from dispensed.ledger import catalog
from dispensed.ledger import losses as rows
from dispensed.ledger.engine import Tx
from dispensed.ledger.losses import LossRow, Missing, NewLoss
from dispensed.model.controlled import LossCause, form_106_due, notice_due
from dispensed.model.quantity import Quantity, format_milli
from dispensed.services.site import Site

EARLIER_DAYS = 730
"""Form 106 asks how many thefts or losses there were in the past 24 months."""
Form = dict[str, object]


@dataclass(frozen=True, slots=True)
class Lost:
    """So much of one lot is missing; `quantity` is text in the item's unit."""

    item_id: str
    lot: str
    quantity: str


@dataclass(frozen=True, slots=True)
class Report:
    """A theft or loss: of a discrepancy, or of what is named; discovered now unless told."""

    cause: LossCause
    detail: str
    lost: tuple[Lost, ...] = ()
    discrepancy_id: int | None = None
    discovered_at: datetime | None = None


async def open_case(site: Site, told: Report, actor: str) -> LossRow:
    """Open a case; its notice is due one business day, its Form 106 45 days after discovery.

    Raises Invalid for no detail, a discovery to come, or neither or both of discrepancy and lots.
    """
    discovered = told.discovered_at or site.now()
    if discovered > site.now():
        raise Invalid(f"discovered at {discovered.isoformat()}, which is to come")
    if not told.detail.strip():
        raise Invalid("say what happened")
    if bool(told.lost) == (told.discrepancy_id is not None):
        raise Invalid("name either a discrepancy or the lots that are missing")
    day = discovered.astimezone(site.zone).date()

    def write(tx: Tx) -> LossRow:
        new = NewLoss(
            cause=told.cause.value,
            detail=told.detail.strip(),
            discovered_at=discovered,
            notice_due=notice_due(day),
            form_due=form_106_due(day),
            missing=_missing(tx, told),
            discrepancy_id=told.discrepancy_id,
        )
        return rows.open_case(tx, new, site.stamp(actor))

    row = await site.store.write(write)
    site.changes.notify("discrepancies")
    return row


async def notified(site: Site, case_id: int, reference: str, actor: str) -> LossRow:
    """Record the written notice to the field office."""
    return await site.store.write(
        lambda tx: rows.notified(tx, case_id, reference, site.stamp(actor))
    )


async def reported(site: Site, case_id: int, reference: str, actor: str) -> LossRow:
    """Record that Form 106 was sent."""
    return await site.store.write(
        lambda tx: rows.reported(tx, case_id, reference, site.stamp(actor))
    )


async def close(site: Site, case_id: int, outcome: str, reason: str, actor: str) -> LossRow:
    """Close a case as `reported` or as `not_a_loss`, with the reason."""
    if outcome not in {rows.REPORTED, rows.NOT_A_LOSS}:
        raise Invalid(f"outcome {outcome!r} is not one of {rows.REPORTED}, {rows.NOT_A_LOSS}")
    if not reason.strip():
        raise Invalid(f"loss {case_id}: say why it is closed")
    stamp = site.stamp(actor, reason)
    return await site.store.write(lambda tx: rows.close(tx, case_id, outcome, stamp))


async def loss(site: Site, case_id: int) -> LossRow:
    """Return one case."""
    return await site.store.read(lambda tx: rows.get(tx, case_id))


async def loss_list(
    site: Site, *, only_open: bool = True, after: int = 0, limit: int
) -> tuple[LossRow, ...]:
    """Return cases by ascending id."""
    return await site.store.read(
        lambda tx: rows.page(tx, only_open=only_open, after=after, limit=limit)
    )


async def form_106(site: Site, case_id: int) -> Form:
    """Return what the ledger knows for Form 106, under the numbers of its items.

    Source: Report of Theft or Loss of Controlled Substances, DEA Form 106, OMB 1117-0001. What only
    people know (police, values, carrier, marks) is null and is filled in at the DEA's site.
    """

    def read(tx: Tx) -> Form:
        row = rows.get(tx, case_id)
        since = row.discovered_at - timedelta(days=EARLIER_DAYS)
        return _form(site, row, rows.count_before(tx, case_id, since))

    return await site.store.read(read)


def _form(site: Site, row: LossRow, earlier: int) -> Form:
    who = site.controlled.registrant
    transit = row.cause == LossCause.LOST_IN_TRANSIT
    return {
        "form": "DEA-106",
        "case": row.id,
        "1_name_and_address": {"name": who.name, "address": who.address},
        "2_phone": who.phone,
        "3_dea_registration_number": who.dea_number,
        "4_date_of_theft_or_loss": row.discovered_at.astimezone(site.zone).date().isoformat(),
        "5_principal_business": who.business,
        "6_county": who.county,
        "7_reported_to_police": None,
        "8_police_department": None,
        "9_thefts_or_losses_in_past_24_months": earlier,
        "10_type": row.cause,
        "11_armed_robbery_anyone_killed_or_injured": None,
        "12_purchase_value": None,
        "13_other_merchandise_taken": None,
        "14_lost_in_transit": {"carrier": None, "consignee": None} if transit else None,
        "15_official_identifying_marks": None,
        "16_marks_or_codes": None,
        "17_explanation": row.detail,
        "controlled_substances": [
            {
                "trade_name": line.name,
                "ndc": line.ndc,
                "strength": line.strength,
                "dosage_form": line.form,
                "schedule": line.schedule,
                "lot": line.lot,
                "package_size": f"{format_milli(line.pack_milli)} {line.unit}",
                "quantity": f"{format_milli(line.milli)} {line.unit}",
            }
            for line in row.lines
        ],
        "notice_due": row.notice_due.isoformat(),
        "form_due": row.form_due.isoformat(),
    }


def _missing(tx: Tx, told: Report) -> tuple[Missing, ...]:
    if told.discrepancy_id is not None:
        return (rows.missing_of(tx, told.discrepancy_id),)
    return tuple(
        Missing(
            each.item_id,
            each.lot,
            Quantity.parse(each.quantity, catalog.get_item(tx, each.item_id).unit).milli,
        )
        for each in told.lost
    )
