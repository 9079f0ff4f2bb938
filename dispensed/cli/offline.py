"""The ledger without the daemon: commands that read or prepare it work while the daemon is down."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dispensed.clock import SystemClock
from dispensed.devices.fleet import Fleet
from dispensed.devices.supervisor import LinkState
from dispensed.errors import InvariantBroken
from dispensed.ledger.engine import Store
from dispensed.services.changes import Changes
from dispensed.services.site import ExpiryOptions, Site
from dispensed.settings import Settings
from drivers.base import RawMessage, Sink

ACTOR = "command-line"
SQLITE = "sqlite:///"


@contextmanager
def opened_site(settings: Settings) -> Iterator[Site]:
    """Open the database as a site without devices; raises SchemaOutdated or StoreUnavailable."""
    clock = SystemClock()
    with Store.open(settings.database.url, readers=1) as store:
        fleet = Fleet({}, clock=clock, sink_for=_no_sink, on_link=_no_link)
        expiry = ExpiryOptions(**settings.expiry.model_dump())
        yield Site(
            store,
            clock,
            settings.zone,
            fleet,
            Changes(),
            expiry=expiry,
            controlled=settings.controlled.options(),
        )


def database_folder(settings: Settings) -> Path | None:
    """Return the folder of an embedded database, None for a server's."""
    url = settings.database.url
    return Path(url.removeprefix(SQLITE)).parent if url.startswith(SQLITE) else None


def _no_link(state: LinkState) -> None:
    """There are no devices, so nobody calls this."""
    del state


def _no_sink(device: str) -> Sink:
    async def drop(message: RawMessage) -> None:
        raise InvariantBroken(f"{device} is not configured: {message.key}")

    return drop
