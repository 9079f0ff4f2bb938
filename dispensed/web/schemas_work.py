"""Bodies of the HTTP API for what is being worked on: dispenses, devices, cases and jobs."""

import json
from datetime import datetime
from typing import Annotated, Literal, Self, cast

from pydantic import Field

from dispensed.devices.supervisor import LinkState
from dispensed.ledger.dispenses import DispenseRow
from dispensed.ledger.picking import HeldRow
from dispensed.ledger.recalls import RecallRow
from dispensed.ledger.reorder import ProposalRow
from dispensed.services.dispensing import DispenseDetail
from dispensed.services.reconciling import ReconcileReport
from dispensed.web.context import JobOutcome
from dispensed.web.schemas import (
    Amount,
    Identifier,
    In,
    MovementOut,
    Out,
    QuantityOut,
    RequestId,
)
from drivers.base import DrawerState, PieceWeight

Reason = Annotated[str, Field(min_length=1, max_length=256)]


class ReasonIn(In):
    """Why a person does something."""

    reason: Reason


class OrderIn(In):
    """A prescription fill; `patient_key` is opaque, never a name.

    With a `protocol` it takes only stock of that trial, else none of any.
    """

    order_ref: Identifier
    item_id: Identifier
    quantity: Amount
    patient_key: Identifier
    priority: Literal["low", "normal", "high"] = "normal"
    route: str | None = Field(default=None, max_length=16)
    protocol: Identifier | None = None
    request_id: RequestId | None = None


class DispenseOut(Out):
    """One dispense."""

    id: int
    order_ref: str
    item_id: str
    name: str
    ordered: QuantityOut
    counted: QuantityOut | None
    state: str
    route: str
    priority: int
    device_id: str | None
    weigh_result: str | None
    verified_by: str | None
    note: str
    requested_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: DispenseRow) -> Self:
        """Shape one row."""
        counted = row.counted_milli
        return cls(
            id=row.id,
            order_ref=row.order_ref,
            item_id=row.item_id,
            name=row.name,
            ordered=QuantityOut.of(row.milli, row.unit),
            counted=None if counted is None else QuantityOut.of(counted, row.unit),
            state=row.state,
            route=row.route,
            priority=row.priority,
            device_id=row.device_id,
            weigh_result=row.weigh_result,
            verified_by=row.verified_by,
            note=row.note,
            requested_at=row.requested_at,
            updated_at=row.updated_at,
        )


class HoldOut(Out):
    """Stock that is set aside for a dispense."""

    reservation_id: int
    lot: str
    location_id: str
    amount: QuantityOut
    remaining: QuantityOut
    state: str

    @classmethod
    def of(cls, row: HeldRow, unit: str) -> Self:
        """Shape one row."""
        return cls(
            reservation_id=row.reservation_id,
            lot=row.lot,
            location_id=row.location_id,
            amount=QuantityOut.of(row.milli, unit),
            remaining=QuantityOut.of(row.remaining, unit),
            state=row.state,
        )


class DispenseDetailOut(Out):
    """One dispense with its holds and movements."""

    dispense: DispenseOut
    holds: list[HoldOut]
    movements: list[MovementOut]

    @classmethod
    def of(cls, detail: DispenseDetail) -> Self:
        """Shape one dispense with all that belongs to it."""
        return cls(
            dispense=DispenseOut.of(detail.row),
            holds=[HoldOut.of(hold, detail.row.unit) for hold in detail.holds],
            movements=[MovementOut.of(row) for row in detail.movements],
        )


class CountIn(In):
    """What a person counted in the tray."""

    counted: Amount
    reason: Reason


class ReleaseIn(In):
    """Print another label, for this reason, although one may have come out."""

    reprint: Reason | None = None


class WeighIn(In):
    """Which scale to weigh on; the default one when null."""

    scale: Identifier | None = None


class DeviceOut(Out):
    """How one device is."""

    name: str
    capability: str
    protocol: str
    state: str
    reason: str
    since: datetime
    maker: str
    model: str
    serial: str
    firmware: str
    link: str
    """How the link is protected, where its protocol knows of protection."""

    @classmethod
    def of(cls, link: LinkState) -> Self:
        """Shape one link."""
        known = link.identity
        return cls(
            name=link.device,
            capability=link.capability,
            protocol=link.protocol,
            state=link.state,
            reason=link.reason,
            since=link.since,
            maker=known.maker if known else "",
            model=known.model if known else "",
            serial=known.serial if known else "",
            firmware=known.firmware if known else "",
            link=known.link if known else "",
        )


class OpenDrawerIn(In):
    """Why a drawer is to be opened."""

    reason: Reason
    request_id: RequestId | None = None


class DrawerOut(Out):
    """One drawer as its own sensor shows it; null where the cabinet cannot tell."""

    drawer: str
    is_open: bool | None
    locked: bool | None

    @classmethod
    def of(cls, state: DrawerState) -> Self:
        """Shape one drawer."""
        return cls(drawer=state.drawer, is_open=state.is_open, locked=state.locked)


class SampleIn(In):
    """Pieces that a person counted onto the scale of a counter."""

    item_id: Annotated[str, Field(min_length=1, max_length=64)]
    pieces: Annotated[int, Field(ge=1, le=1000)]
    lot: Annotated[str, Field(max_length=64)] = ""


class PieceWeightOut(Out):
    """Weight of one piece with its standard uncertainty, in micrograms."""

    mean_ug: int
    u_ug: int
    pieces: int

    @classmethod
    def of(cls, piece: PieceWeight) -> Self:
        """Shape one piece weight."""
        return cls(mean_ug=piece.mean_ug, u_ug=piece.u_ug, pieces=piece.pieces)


class ReconcileOut(Out):
    """Outcome of comparing one device with the book."""

    device: str
    compared: int
    differing: int
    skipped: int
    unknown_articles: list[str]
    settled: bool

    @classmethod
    def of(cls, report: ReconcileReport) -> Self:
        """Shape one report."""
        return cls(
            device=report.device,
            compared=report.compared,
            differing=report.differing,
            skipped=report.skipped,
            unknown_articles=list(report.unknown_articles),
            settled=report.settled,
        )


class RecallIn(In):
    """A recall of one lot, or of all lots of an item (`lot` null)."""

    reference: Annotated[str, Field(min_length=1, max_length=64)]
    recall_class: Literal["I", "II", "III"]
    reason: Reason
    lot: Identifier | None
    item_id: Identifier | None = None
    ndc: str | None = Field(default=None, max_length=16)


class RecallOut(Out):
    """One recall case."""

    id: int
    reference: str
    recall_class: str
    item_id: str
    lot: str | None
    reason: str
    state: str
    actor: str
    opened_at: datetime
    closed_at: datetime | None

    @classmethod
    def of(cls, row: RecallRow) -> Self:
        """Shape one row."""
        return cls(
            id=row.id,
            reference=row.reference,
            recall_class=row.recall_class,
            item_id=row.item_id,
            lot=row.lot,
            reason=row.reason,
            state=row.state,
            actor=row.actor,
            opened_at=row.opened_at,
            closed_at=row.closed_at,
        )


class ProposalOut(Out):
    """One proposed order with the numbers that led to it."""

    id: int
    item_id: str
    name: str
    location_id: str
    amount: QuantityOut
    received: QuantityOut
    pack: QuantityOut
    state: str
    explanation: dict[str, str | int]
    actor: str
    updated_at: datetime

    @classmethod
    def of(cls, row: ProposalRow) -> Self:
        """Shape one row."""
        return cls(
            id=row.id,
            item_id=row.item_id,
            name=row.name,
            location_id=row.location_id,
            amount=QuantityOut.of(row.milli, row.unit),
            received=QuantityOut.of(row.received_milli, row.unit),
            pack=QuantityOut.of(row.pack_milli, row.unit),
            state=row.state,
            explanation=cast("dict[str, str | int]", json.loads(row.explanation)),
            actor=row.actor,
            updated_at=row.updated_at,
        )


class JobOut(Out):
    """One scheduled job; `failing` is the reason when its last run failed, else empty."""

    name: str
    next_due: datetime | None
    failing: str


class JobRunOut(Out):
    """One finished run."""

    job: str
    slot: str
    failed: bool
    result: str
    started_at: datetime
    finished_at: datetime

    @classmethod
    def of(cls, outcome: JobOutcome) -> Self:
        """Shape one outcome."""
        return cls(
            job=outcome.job,
            slot=outcome.slot,
            failed=outcome.failed,
            result=outcome.result,
            started_at=outcome.started_at,
            finished_at=outcome.finished_at,
        )
