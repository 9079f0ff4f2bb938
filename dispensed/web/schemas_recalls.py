"""Bodies of the HTTP API for recall cases."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field

from dispensed.ledger.recall_blocks import LotKey
from dispensed.ledger.recall_cases import CaseRow, LineRow
from dispensed.ledger.recall_notices import NoticeRow
from dispensed.ledger.recall_parts import UnresolvedRow
from dispensed.ledger.recall_places import IssueRow, SignatureRow, TaskRow
from dispensed.model.recall import LotSums
from dispensed.services.recall_detail import CaseDetail
from dispensed.services.recall_feed import ImportReport
from dispensed.web.schemas import Amount, Identifier, In, Out, QuantityOut, RequestId, Text
from dispensed.web.schemas_work import Reason

LINES_MAX = 1000


class CaseLineIn(In):
    """What is recalled: an item by id, or an NDC of a package or product; `lot` null is all."""

    lot: Identifier | None
    item_id: Identifier | None = None
    ndc: Annotated[str, Field(max_length=16)] | None = None
    expiry: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}(-[0-9]{2})?$")] | None = None


class CaseIn(In):
    """A recall told by letter or telephone; an open case of the reference gets the lines."""

    reference: Annotated[str, Field(min_length=1, max_length=64)]
    recall_class: Literal["I", "II", "III", ""] = ""
    reason: Reason
    product: Text = ""
    labeler: Text = ""
    lines: Annotated[list[CaseLineIn], Field(min_length=1, max_length=LINES_MAX)]


class TargetIn(In):
    """A lot that part of a notice means; `lot` null means every lot of the item."""

    item_id: Identifier
    lot: Identifier | None


class DecisionIn(In):
    """What a person read in part of a notice."""

    match: bool
    reason: Reason
    targets: list[TargetIn] = Field(default_factory=list, max_length=LINES_MAX)


class AnswerIn(In):
    """What was found of a lot at a place, `0` included; it is moved to `target`."""

    item_id: Identifier
    lot: Identifier
    location_id: Identifier
    found: Amount
    target: Identifier = "outdate"
    note: Text = ""
    request_id: RequestId | None = None


class SignIn(In):
    """What a person vouches for."""

    statement: Reason


class NoticesIn(In):
    """FDA enforcement records: an openFDA document, or JSON lines."""

    content: Annotated[str, Field(min_length=2)]
    source: Annotated[str, Field(min_length=1, max_length=256)] = "import"


class CaseOut(Out):
    """One recall case; `state` is open, review, not_stocked or closed."""

    id: int
    reference: str
    recall_number: str | None
    recall_class: str
    product: str
    labeler: str
    reason: str
    source: str
    state: str
    actor: str
    opened_at: datetime
    due_at: datetime
    closed_at: datetime | None
    closed_by: str | None

    @classmethod
    def of(cls, row: CaseRow) -> Self:
        """Shape one row."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class LineOut(Out):
    """One line; `items` are those of the catalogue that it blocks."""

    id: int
    ndc: str
    item_id: str | None
    lot: str | None
    expiry: str | None
    notice_id: int | None
    unresolved_id: int | None
    items: list[str]

    @classmethod
    def of(cls, row: LineRow) -> Self:
        """Shape one row."""
        names = [name for name in cls.model_fields if name != "items"]
        return cls(**{name: getattr(row, name) for name in names}, items=list(row.items))


class LotOf(Out):
    """One lot of one item."""

    item_id: str
    lot: str

    @classmethod
    def of(cls, key: LotKey) -> Self:
        """Shape one key."""
        return cls(item_id=key.item_id, lot=key.lot)


class UnresolvedOut(Out):
    """Part of a notice that a person reads: `start` to `end` of `field`, and what it may mean."""

    id: int
    case_id: int
    reference: str
    notice_id: int
    field: str
    start: int
    end: int
    text: str
    reason: str
    candidates: list[LotOf]
    state: str
    decided_by: str | None
    decided_at: datetime | None
    decision: str

    @classmethod
    def of(cls, row: UnresolvedRow) -> Self:
        """Shape one row."""
        own = {"case_id", "reference", "candidates"}
        return cls(
            **{name: getattr(row, name) for name in cls.model_fields if name not in own},
            case_id=row.recall_id,
            reference=row.recall_number,
            candidates=[LotOf.of(key) for key in row.candidates],
        )


class TaskOut(Out):
    """Pull a lot from a place; quantities are null until somebody answered."""

    id: int
    item_id: str
    name: str
    lot: str
    location_id: str
    state: str
    due_at: datetime
    book: QuantityOut | None
    found: QuantityOut | None
    moved: QuantityOut | None
    target: str | None
    movement_id: int | None
    actor: str | None
    note: str | None
    answered_at: datetime | None

    @classmethod
    def of(cls, row: TaskRow) -> Self:
        """Shape one row."""
        amounts = {"book": row.book, "found": row.found, "moved": row.moved}
        return cls(
            **{name: getattr(row, name) for name in cls.model_fields if name not in amounts},
            book=None if row.book is None else QuantityOut.of(row.book, row.unit),
            found=None if row.found is None else QuantityOut.of(row.found, row.unit),
            moved=None if row.moved is None else QuantityOut.of(row.moved, row.unit),
        )


class IssueOut(Out):
    """What left to a patient, who is named by opaque key only."""

    movement_id: int
    kind: str
    item_id: str
    lot: str
    amount: QuantityOut
    occurred_at: datetime
    dispense_id: int | None
    order_ref: str | None
    patient_key: str | None

    @classmethod
    def of(cls, row: IssueRow, unit: str) -> Self:
        """Shape one row."""
        names = [name for name in cls.model_fields if name != "amount"]
        return cls(
            **{name: getattr(row, name) for name in names}, amount=QuantityOut.of(row.milli, unit)
        )


class SumsOut(Out):
    """Where everything of one lot is; it adds up when nothing lies elsewhere or is missing."""

    item_id: str
    lot: str
    received: QuantityOut
    quarantined: QuantityOut
    dispensed: QuantityOut
    wasted: QuantityOut
    lost: QuantityOut
    returned: QuantityOut
    destroyed: QuantityOut
    repacked: QuantityOut
    sampled: QuantityOut
    in_transit: QuantityOut
    elsewhere: QuantityOut
    adds_up: bool

    @classmethod
    def of(cls, key: LotKey, sums: LotSums, unit: str) -> Self:
        """Shape the sums of one lot."""
        own = {"item_id", "lot", "adds_up"}
        amounts = {
            name: QuantityOut.of(getattr(sums, name), unit)
            for name in cls.model_fields
            if name not in own
        }
        return cls(item_id=key.item_id, lot=key.lot, adds_up=sums.adds_up, **amounts)


class SignatureOut(Out):
    """One person's word; only those of the case's present round count."""

    round: int
    actor: str
    statement: str
    signed_at: datetime

    @classmethod
    def of(cls, row: SignatureRow) -> Self:
        """Shape one row."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class NoticeOut(Out):
    """One notice as it was kept; its content is in the export of its case."""

    id: int
    source: str
    sha256: str
    received_at: datetime
    outcome: str | None
    note: str

    @classmethod
    def of(cls, row: NoticeRow) -> Self:
        """Shape one row."""
        names = [name for name in cls.model_fields if name != "sha256"]
        return cls(**{name: getattr(row, name) for name in names}, sha256=row.content_hash)


class CaseDetailOut(Out):
    """One case with all that belongs to it; `blockers` say what stands against closing it."""

    case: CaseOut
    overdue: bool
    round: int
    lines: list[LineOut]
    unresolved: list[UnresolvedOut]
    tasks: list[TaskOut]
    dispensed: list[IssueOut]
    sums: list[SumsOut]
    signatures: list[SignatureOut]
    notices: list[NoticeOut]
    blockers: list[str]

    @classmethod
    def of(cls, detail: CaseDetail) -> Self:
        """Shape one case."""
        units = detail.units
        return cls(
            case=CaseOut.of(detail.row),
            overdue=detail.overdue,
            round=detail.row.round,
            lines=[LineOut.of(row) for row in detail.lines],
            unresolved=[UnresolvedOut.of(row) for row in detail.parts],
            tasks=[TaskOut.of(row) for row in detail.tasks],
            dispensed=[IssueOut.of(row, units[row.item_id]) for row in detail.issues],
            sums=[SumsOut.of(key, sums, units[key.item_id]) for key, sums in detail.sums.items()],
            signatures=[SignatureOut.of(row) for row in detail.signatures],
            notices=[NoticeOut.of(row) for row in detail.notices],
            blockers=list(detail.blockers),
        )


class ImportOut(Out):
    """What an import did; `parts` wait for a person."""

    stored: int
    known: int
    read: int
    unreadable: list[str]
    opened: list[int]
    parts: int

    @classmethod
    def of(cls, report: ImportReport) -> Self:
        """Shape one report."""
        return cls(
            stored=report.stored,
            known=report.known,
            read=report.read,
            unreadable=list(report.unreadable),
            opened=list(report.opened),
            parts=report.parts,
        )
