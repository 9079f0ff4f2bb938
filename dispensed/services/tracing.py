"""Forward and backward trace: from a bulk lot to every unit, from a dispense back to receipts."""

from dataclasses import dataclass

from dispensed.ledger import dispenses, tracing
from dispensed.ledger.dispenses import DispenseRow
from dispensed.ledger.engine import Tx
from dispensed.ledger.lot_origins import LotKey
from dispensed.ledger.tracing import LotTrace
from dispensed.services.site import Site


@dataclass(frozen=True, slots=True)
class DispensedLot:
    """One lot of a dispense with what the patient's side has of it, and every lot it came from.

    `lots` begins with the lot itself; 0 `milli` means that all of it came back.
    """

    key: LotKey
    milli: int
    lots: tuple[LotTrace, ...]


@dataclass(frozen=True, slots=True)
class DispenseTrace:
    """One dispense and the lots it gave."""

    row: DispenseRow
    parts: tuple[DispensedLot, ...]


async def forward(site: Site, item_id: str, lot: str) -> tuple[LotTrace, ...]:
    """Return a lot and every lot that came from it, nearest first, with where all of it went.

    Raises UnknownItem or UnknownLot.
    """
    return await site.store.read(lambda tx: tracing.forward(tx, item_id, lot))


async def backward(site: Site, item_id: str, lot: str) -> tuple[LotTrace, ...]:
    """Return a lot and every lot it came from, nearest first, with the receipts of each."""
    return await site.store.read(lambda tx: tracing.backward(tx, item_id, lot))


async def dispense(site: Site, dispense_id: int) -> DispenseTrace:
    """Return what a dispense gave and where each lot came from; raises NotFound."""

    def query(tx: Tx) -> DispenseTrace:
        row = dispenses.get(tx, dispense_id)
        parts = tuple(
            DispensedLot(key, milli, tracing.backward(tx, *key))
            for key, milli in tracing.lots_of_dispense(tx, dispense_id)
        )
        return DispenseTrace(row, parts)

    return await site.store.read(query)
