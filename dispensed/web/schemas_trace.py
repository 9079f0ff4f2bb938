"""Bodies of the HTTP API for traces of lots and dispenses."""

from datetime import date, datetime
from typing import Self

from dispensed.ledger.tracing import LotTrace
from dispensed.services.tracing import DispenseTrace
from dispensed.web.schemas import Out, QuantityOut


class OriginOut(Out):
    """A lot from which another was made, and the run or return that did it."""

    item_id: str
    lot: str
    kind: str
    ref: str


class PlacedOut(Out):
    """What a place or account has of a lot; negative where it came from."""

    location_id: str
    amount: QuantityOut


class GivenOut(Out):
    """What a patient's side has of a lot, by a dispense or by a removal from a cabinet."""

    dispense_id: int | None
    removal_id: int | None
    order_ref: str
    patient_key: str
    amount: QuantityOut


class ArrivalOut(Out):
    """A movement that brought a lot in."""

    movement_id: int
    kind: str
    amount: QuantityOut
    occurred_at: datetime
    receipt_id: int | None
    order_ref: str


class LotTraceOut(Out):
    """One lot of a trace."""

    item_id: str
    name: str
    lot: str
    expiry: date | None
    state: str
    origins: list[OriginOut]
    places: list[PlacedOut]
    accounts: list[PlacedOut]
    given: list[GivenOut]
    arrivals: list[ArrivalOut]

    @classmethod
    def of(cls, row: LotTrace) -> Self:
        """Shape one lot."""

        def placed(pairs: tuple[tuple[str, int], ...]) -> list[PlacedOut]:
            return [
                PlacedOut(location_id=at, amount=QuantityOut.of(milli, row.unit))
                for at, milli in pairs
            ]

        return cls(
            item_id=row.key.item_id,
            name=row.name,
            lot=row.key.lot,
            expiry=row.expiry,
            state=row.state,
            origins=[
                OriginOut(
                    item_id=each.parent.item_id,
                    lot=each.parent.lot,
                    kind=each.kind,
                    ref=each.ref,
                )
                for each in row.origins
            ],
            places=placed(row.places),
            accounts=placed(row.accounts),
            given=[
                GivenOut(
                    dispense_id=each.dispense_id,
                    removal_id=each.removal_id,
                    order_ref=each.order_ref,
                    patient_key=each.patient_key,
                    amount=QuantityOut.of(each.milli, row.unit),
                )
                for each in row.given
            ],
            arrivals=[
                ArrivalOut(
                    movement_id=each.movement_id,
                    kind=each.kind,
                    amount=QuantityOut.of(each.milli, row.unit),
                    occurred_at=each.occurred_at,
                    receipt_id=each.receipt_id,
                    order_ref=each.order_ref,
                )
                for each in row.arrivals
            ],
        )


class DispensedLotOut(Out):
    """One lot of a dispense and every lot it came from; `lots` begins with the lot itself."""

    item_id: str
    lot: str
    amount: QuantityOut
    lots: list[LotTraceOut]


class DispenseTraceOut(Out):
    """One dispense and where all of it came from."""

    dispense_id: int
    order_ref: str
    patient_key: str
    state: str
    parts: list[DispensedLotOut]

    @classmethod
    def of(cls, trace: DispenseTrace) -> Self:
        """Shape one trace."""
        return cls(
            dispense_id=trace.row.id,
            order_ref=trace.row.order_ref,
            patient_key=trace.row.patient_key,
            state=trace.row.state,
            parts=[
                DispensedLotOut(
                    item_id=part.key.item_id,
                    lot=part.key.lot,
                    amount=QuantityOut.of(part.milli, trace.row.unit),
                    lots=[LotTraceOut.of(row) for row in part.lots],
                )
                for part in trace.parts
            ],
        )
