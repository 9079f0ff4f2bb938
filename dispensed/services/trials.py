"""Trials by protocol, their accountability records, and what may be kept at which place."""

import csv
import io
from dataclasses import dataclass

from dispensed.errors import Invalid
from dispensed.ledger import catalog, special, trials
from dispensed.ledger.engine import Tx
from dispensed.ledger.trials import ProtocolRow, RecordLine, RuleRow
from dispensed.model.catalog import Location, LocationKind, Storage, check_id
from dispensed.model.quantity import MILLI, QUANTITY_MAX_MILLI, format_milli
from dispensed.model.special import PlaceRule
from dispensed.services.places import SITE
from dispensed.services.site import Site

TEXT_MAX = 256
RECORD_MAX = 100_000
"""Most lines of an accountability record that are read at once."""
PLACE_KINDS = (
    LocationKind.AREA,
    LocationKind.BIN,
    LocationKind.RECEIVING,
    LocationKind.OUTDATE,
)
"""Kinds of place that a person may add."""


@dataclass(frozen=True, slots=True)
class NewProtocol:
    """A protocol as its papers name it: number, title, sponsor, and who is responsible."""

    protocol_id: str
    title: str
    sponsor: str
    investigator: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NewRule:
    """What a place is to say; None leaves it to the place around. `capacity` is whole units."""

    location_id: str
    reason: str
    protocol: str | None = None
    storage: str | None = None
    hazardous: bool | None = None
    high_alert: bool | None = None
    capacity: int | None = None
    items: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class PlaceRules:
    """What a place itself says (None when nothing), and what holds there with all around it."""

    location_id: str
    own: RuleRow | None
    holds: PlaceRule


# ---------------------------------------------------------------- protocols


async def open_protocol(site: Site, asked: NewProtocol, actor: str) -> ProtocolRow:
    """Add a protocol; the same one again changes nothing. Raises ProtocolExists."""
    check_id(asked.protocol_id, "protocol number")
    facts = (asked.title, asked.sponsor, asked.investigator)
    for name, text in zip(("title", "sponsor", "investigator"), facts, strict=True):
        if not text.strip() or len(text) > TEXT_MAX:
            raise Invalid(f"protocol {asked.protocol_id}: {name} is 1 to {TEXT_MAX} characters")
    stamp = site.stamp(actor, asked.reason)
    return await site.store.write(
        lambda tx: trials.open_protocol(tx, asked.protocol_id, facts, stamp)
    )


async def close_protocol(site: Site, protocol_id: str, reason: str, actor: str) -> ProtocolRow:
    """Close a protocol: no more dispenses for it; its stock may only go out."""
    if not reason.strip():
        raise Invalid(f"protocol {protocol_id}: say why it is closed")
    stamp = site.stamp(actor, reason)
    return await site.store.write(lambda tx: trials.close_protocol(tx, protocol_id, stamp))


async def protocols(site: Site) -> tuple[ProtocolRow, ...]:
    """Return every protocol."""
    return await site.store.read(trials.protocols)


async def record(
    site: Site, protocol_id: str, *, after: int = 0, limit: int = RECORD_MAX
) -> tuple[RecordLine, ...]:
    """Return the accountability record of a protocol; raises UnknownProtocol."""
    return await site.store.read(
        lambda tx: trials.record_of(tx, protocol_id, after=after, limit=limit)
    )


COLUMNS = (
    "date",
    "item_id",
    "name",
    "strength",
    "form",
    "manufacturer",
    "lot",
    "expiry",
    "entry",
    "subject",
    "quantity",
    "unit",
    "change",
    "balance",
    "recorder",
    "place",
    "movement_id",
)
"""Columns of the record as CSV."""


def as_csv(site: Site, lines: tuple[RecordLine, ...]) -> str:
    """Write an accountability record as CSV; dates are those of the site."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for line in lines:
        writer.writerow(
            (
                line.occurred_at.astimezone(site.zone).date().isoformat(),
                line.item_id,
                line.name,
                line.strength,
                line.form,
                line.labeler,
                line.lot,
                "" if line.expiry is None else line.expiry.isoformat(),
                line.entry,
                line.subject,
                format_milli(line.milli),
                line.unit,
                format_milli(line.change),
                format_milli(line.balance),
                line.actor,
                line.location_id,
                line.movement_id,
            )
        )
    return text.getvalue()


# ---------------------------------------------------------------- places


async def add_place(
    site: Site, location_id: str, kind: str, parent: str | None, actor: str
) -> Location:
    """Add a place in another one (else in the site), or put a known one there."""
    if kind not in PLACE_KINDS:
        raise Invalid(f"place kind {kind!r} is not one of {', '.join(PLACE_KINDS)}")
    place = Location(location_id, LocationKind(kind), parent or SITE)
    await site.store.write(lambda tx: trials.put_place(tx, place, site.stamp(actor)))
    site.changes.notify("stock")
    return place


async def set_rule(site: Site, asked: NewRule, actor: str) -> PlaceRules:
    """Set what a place says, in place of what it said; nothing at all takes its rule away."""
    if not asked.reason.strip():
        raise Invalid(f"location {asked.location_id}: say why its rule changes")
    if asked.storage is not None and asked.storage not in tuple(Storage):
        raise Invalid(f"storage {asked.storage!r} is not one of {', '.join(Storage)}")
    capacity = None if asked.capacity is None else asked.capacity * MILLI
    if capacity is not None and not 0 < capacity <= QUANTITY_MAX_MILLI:
        raise Invalid(f"location {asked.location_id}: a capacity of {asked.capacity}")
    rule = PlaceRule(
        protocol=asked.protocol,
        storage=None if asked.storage is None else Storage(asked.storage),
        hazardous=asked.hazardous,
        high_alert=asked.high_alert,
        capacity_milli=capacity,
        items=None if asked.items is None else frozenset(asked.items),
    )
    stamp = site.stamp(actor, asked.reason)

    def write(tx: Tx) -> PlaceRules:
        trials.put_rule(tx, asked.location_id, rule, stamp)
        return _rules(tx, asked.location_id)

    return await site.store.write(write)


async def rules_at(site: Site, location_id: str) -> PlaceRules:
    """Return what a place says and what holds there; raises UnknownLocation."""
    return await site.store.read(lambda tx: _rules(tx, location_id))


async def rules(site: Site) -> tuple[RuleRow, ...]:
    """Return what each place itself says."""
    return await site.store.read(trials.rules)


def _rules(tx: Tx, location_id: str) -> PlaceRules:
    catalog.get_location(tx, location_id)
    own = next((row for row in trials.rules(tx) if row.location_id == location_id), None)
    return PlaceRules(location_id, own, special.rule_at(tx, location_id))
