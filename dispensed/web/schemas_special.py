"""Bodies of the HTTP API for special stock: protocols, rules of places, temperature excursions."""

from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field

from dispensed.ledger.excursions import ExcursionLot, ExcursionRow
from dispensed.ledger.trials import ProtocolRow, RecordLine, RuleRow
from dispensed.model.catalog import Storage
from dispensed.model.quantity import MILLI, QUANTITY_MAX_MILLI
from dispensed.model.special import PlaceRule
from dispensed.services.excursions import DEGREES_MAX, Excursion
from dispensed.services.trials import TEXT_MAX, PlaceRules
from dispensed.web.schemas import Identifier, In, Out, QuantityOut, Text
from dispensed.web.schemas_work import Reason

Facts = Annotated[str, Field(min_length=1, max_length=TEXT_MAX)]
Degrees = Annotated[str, Field(min_length=1, max_length=DEGREES_MAX, examples=["2.5", "-18"])]
ITEMS_MAX = 1000


class ProtocolIn(In):
    """A protocol as its papers name it; `investigator` is responsible for its record."""

    protocol_id: Identifier
    title: Facts
    sponsor: Facts
    investigator: Facts
    reason: Text = ""


class ProtocolOut(Out):
    """One protocol."""

    protocol_id: str
    title: str
    sponsor: str
    investigator: str
    state: str
    actor: str
    reason: str
    recorded_at: datetime

    @classmethod
    def of(cls, row: ProtocolRow) -> Self:
        """Shape one row."""
        return cls(
            protocol_id=row.protocol_id,
            title=row.title,
            sponsor=row.sponsor,
            investigator=row.investigator,
            state=row.state,
            actor=row.actor,
            reason=row.reason,
            recorded_at=row.recorded_at,
        )


class RecordLineOut(Out):
    """One line of an accountability record; `subject` is an opaque key.

    `change` is what it adds to `balance`, the stock of the lot at the places of the protocol.
    """

    id: int
    occurred_at: datetime
    item_id: str
    name: str
    strength: str
    form: str
    manufacturer: str
    lot: str
    expiry: date | None
    entry: str
    quantity: QuantityOut
    change: QuantityOut
    balance: QuantityOut
    location_id: str
    subject: str
    dispense_id: int | None
    movement_id: int
    recorder: str
    reason: str

    @classmethod
    def of(cls, row: RecordLine) -> Self:
        """Shape one line."""
        return cls(
            id=row.id,
            occurred_at=row.occurred_at,
            item_id=row.item_id,
            name=row.name,
            strength=row.strength,
            form=row.form,
            manufacturer=row.labeler,
            lot=row.lot,
            expiry=row.expiry,
            entry=row.entry,
            quantity=QuantityOut.of(row.milli, row.unit),
            change=QuantityOut.of(row.change, row.unit),
            balance=QuantityOut.of(row.balance, row.unit),
            location_id=row.location_id,
            subject=row.subject,
            dispense_id=row.dispense_id,
            movement_id=row.movement_id,
            recorder=row.actor,
            reason=row.reason,
        )


# ---------------------------------------------------------------- places


class PlaceIn(In):
    """A place to add, in another one (else in the site), or to put there."""

    location_id: Identifier
    kind: Literal["area", "bin", "receiving", "outdate"]
    parent: Identifier | None = None


class RuleIn(In):
    """What a place is to say; null leaves it to the place around it. `capacity` is per item."""

    reason: Reason
    protocol: Identifier | None = None
    storage: Storage | None = None
    hazardous: bool | None = None
    high_alert: bool | None = None
    capacity: int | None = Field(default=None, ge=1, le=QUANTITY_MAX_MILLI // MILLI)
    items: Annotated[list[Identifier], Field(max_length=ITEMS_MAX)] | None = None


class RuleOut(Out):
    """A rule; null says nothing. `capacity` is the most of one item, in its unit."""

    protocol: str | None
    storage: str | None
    hazardous: bool | None
    high_alert: bool | None
    capacity: int | None
    items: list[str] | None

    @classmethod
    def of(cls, rule: PlaceRule) -> Self:
        """Shape one rule."""
        capacity = rule.capacity_milli
        return cls(
            protocol=rule.protocol,
            storage=rule.storage,
            hazardous=rule.hazardous,
            high_alert=rule.high_alert,
            capacity=None if capacity is None else capacity // MILLI,
            items=None if rule.items is None else sorted(rule.items),
        )


class OwnRuleOut(Out):
    """What one place itself says."""

    location_id: str
    rule: RuleOut
    actor: str
    reason: str
    recorded_at: datetime

    @classmethod
    def of(cls, row: RuleRow) -> Self:
        """Shape one row."""
        return cls(
            location_id=row.location_id,
            rule=RuleOut.of(row.rule),
            actor=row.actor,
            reason=row.reason,
            recorded_at=row.recorded_at,
        )


class PlaceRulesOut(Out):
    """What a place says, and what holds there with what it inherits."""

    location_id: str
    own: OwnRuleOut | None
    holds: RuleOut

    @classmethod
    def of(cls, rules: PlaceRules) -> Self:
        """Shape both."""
        return cls(
            location_id=rules.location_id,
            own=None if rules.own is None else OwnRuleOut.of(rules.own),
            holds=RuleOut.of(rules.holds),
        )


# ---------------------------------------------------------------- excursions


class ExcursionIn(In):
    """What was observed at a place; temperatures in Celsius; no end while it goes on."""

    location_id: Identifier
    began_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    observed_min: Degrees
    observed_max: Degrees
    source: Annotated[str, Field(min_length=1, max_length=128)]
    reason: Reason


class ExcursionEndIn(In):
    """When an excursion ended."""

    ended_at: AwareDatetime
    reason: Reason


class LotReleaseIn(In):
    """Which lot is released from an excursion, and why."""

    item_id: Identifier
    lot: Identifier
    reason: Reason


class ExcursionOut(Out):
    """One excursion."""

    id: int
    location_id: str
    began_at: datetime
    ended_at: datetime | None
    observed_min: str
    observed_max: str
    source: str
    actor: str
    reason: str
    ended_by: str | None
    recorded_at: datetime

    @classmethod
    def of(cls, row: ExcursionRow) -> Self:
        """Shape one row."""
        return cls(
            id=row.id,
            location_id=row.location_id,
            began_at=row.began_at,
            ended_at=row.ended_at,
            observed_min=row.observed_min,
            observed_max=row.observed_max,
            source=row.source,
            actor=row.actor,
            reason=row.reason,
            ended_by=row.ended_by,
            recorded_at=row.recorded_at,
        )


class ExcursionLotOut(Out):
    """One lot that was there."""

    item_id: str
    name: str
    lot: str
    state: str
    state_before: str
    released_by: str | None
    released_at: datetime | None
    reason: str

    @classmethod
    def of(cls, row: ExcursionLot) -> Self:
        """Shape one lot."""
        return cls(
            item_id=row.item_id,
            name=row.name,
            lot=row.lot,
            state=row.state,
            state_before=row.state_before,
            released_by=row.released_by,
            released_at=row.released_at,
            reason=row.reason,
        )


class ExcursionDetailOut(Out):
    """One excursion with its lots."""

    excursion: ExcursionOut
    lots: list[ExcursionLotOut]

    @classmethod
    def of(cls, found: Excursion) -> Self:
        """Shape one excursion with all that belongs to it."""
        return cls(
            excursion=ExcursionOut.of(found.row),
            lots=[ExcursionLotOut.of(lot) for lot in found.lots],
        )
