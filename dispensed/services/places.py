"""The places of the pharmacy.

Those every site has, one per device, and the bins that people name.
"""

from dispensed.ledger import catalog
from dispensed.ledger.engine import Tx
from dispensed.model.catalog import Location, LocationKind
from dispensed.services import booking
from dispensed.services.site import Site

SITE = "site"
OUTDATE = "outdate"
IN_HAND = "in-hand"
_COMMON = (
    Location(SITE, LocationKind.SITE),
    Location(booking.RECEIVING, LocationKind.RECEIVING, SITE),
    Location(booking.FILL, LocationKind.FILL, SITE),
    Location(IN_HAND, LocationKind.IN_HAND, SITE),
    Location(booking.REJECTS, LocationKind.REJECTS, SITE),
    Location(OUTDATE, LocationKind.OUTDATE, SITE),
)
ACTOR = "set-up"


async def ensure_places(site: Site) -> None:
    """Make the places that every site has and one for each cabinet.

    Repeating it changes nothing.
    """
    stamp = site.stamp(ACTOR)
    cabinets = [
        Location(site.machines.location(name), LocationKind.DEVICE, SITE, name)
        for name in site.machines.device_names("cabinet")
    ]

    def write(tx: Tx) -> None:
        for place in (*_COMMON, *cabinets):
            catalog.put_location(tx, place, stamp)

    await site.store.write(write)


async def add_bin(site: Site, location_id: str, actor: str) -> Location:
    """Add a shelf or bin; adding a known one changes nothing."""
    place = Location(location_id, LocationKind.BIN, SITE)
    await site.store.write(lambda tx: catalog.put_location(tx, place, site.stamp(actor)))
    site.changes.notify("stock")
    return place


async def places(site: Site) -> tuple[Location, ...]:
    """Return every place and account."""
    return await site.store.read(catalog.locations)
