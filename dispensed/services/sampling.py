"""The weight of one piece, from a sample that a person counted onto a scale."""

from dispensed.errors import Conflict, DeviceProblem, Invalid
from dispensed.ledger import catalog
from dispensed.ledger.engine import Tx
from dispensed.ledger.stamp import Details, audit
from dispensed.services.site import Site
from drivers.base import PieceWeight
from drivers.errors import DeviceRefused, DriverError, Unsupported

SAMPLE_TIMEOUT_S = 20.0
"""How long the load may take to lie still."""
PIECES_MAX = 1000


async def sample(
    site: Site, device: str, item_id: str, pieces: int, *, lot: str = "", actor: str
) -> PieceWeight:
    """Take `pieces` tablets that lie on a counter's scale as the reference of an item (of a lot).

    The counter counts with it until the daemon ends. Raises NotFound for an unknown item or lot,
    Conflict when the counter cannot use the sample, DeviceProblem.
    """
    if not 0 < pieces <= PIECES_MAX:
        raise Invalid(f"a sample of {pieces} pieces; 1 to {PIECES_MAX} are possible")

    def known(tx: Tx) -> None:
        catalog.get_item(tx, item_id)
        if lot:
            catalog.get_lot(tx, item_id, lot)

    await site.store.read(known)
    counter = site.machines.counter(device)
    try:
        piece = await counter.sample(item_id, pieces, timeout_s=SAMPLE_TIMEOUT_S, lot=lot)
    except (DeviceRefused, Unsupported) as error:
        raise Conflict(f"device {device}: {error}") from error
    except DriverError as error:
        raise DeviceProblem(f"device {device}: {error}; nothing was sampled") from error
    stamp = site.stamp(actor)
    details: Details = {"device": device, "lot": lot, "pieces": pieces, "mean_ug": piece.mean_ug}
    await site.store.write(lambda tx: audit(tx, stamp, "piece.sampled", f"item {item_id}", details))
    return piece
