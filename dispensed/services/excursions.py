"""Temperature excursions: recording one holds exactly the lots that were there."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from dispensed.errors import Invalid
from dispensed.ledger import catalog, excursions
from dispensed.ledger.engine import Tx
from dispensed.ledger.excursions import ExcursionLot, ExcursionRow, Key
from dispensed.services.site import Site

TEXT_MAX = 128
DEGREES_MAX = 16
"""Most characters of a temperature."""


@dataclass(frozen=True, slots=True)
class NewExcursion:
    """What was observed: place, aware times (no end: it goes on), temperatures in Celsius.

    `source` is the logger or the person who saw it.
    """

    location_id: str
    began_at: datetime
    observed_min: str
    observed_max: str
    source: str
    reason: str
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Excursion:
    """One excursion with the lots that were there."""

    row: ExcursionRow
    lots: tuple[ExcursionLot, ...]


async def record(site: Site, asked: NewExcursion, actor: str) -> Excursion:
    """Record an excursion and hold every lot that lay there, or in a place in it, at any instant.

    Recalled, damaged and quarantined lots keep their state. Raises Invalid for times that are not
    aware, in the future or in the wrong order, and for what is no temperature.
    """
    if not asked.source.strip() or len(asked.source) > TEXT_MAX:
        raise Invalid(f"say in 1 to {TEXT_MAX} characters who or what measured")
    if not asked.reason.strip():
        raise Invalid(f"excursion at {asked.location_id}: say what happened")
    _check_times(site, asked.began_at, asked.ended_at)
    coldest, warmest = _degrees(asked.observed_min), _degrees(asked.observed_max)
    if coldest > warmest:
        raise Invalid(f"{asked.observed_min} is not below {asked.observed_max} degrees")
    stamp = site.stamp(actor, asked.reason)

    def write(tx: Tx) -> Excursion:
        catalog.get_location(tx, asked.location_id)
        number = excursions.record(
            tx,
            location_id=asked.location_id,
            began_at=asked.began_at,
            ended_at=asked.ended_at,
            observed=(str(coldest), str(warmest)),
            source=asked.source,
            stamp=stamp,
        )
        return _excursion(tx, number)

    done = await site.store.write(write)
    site.changes.notify("stock")
    return done


async def end(site: Site, number: int, ended_at: datetime, reason: str, actor: str) -> Excursion:
    """Set the end of an excursion that goes on; a lot that came only after it is released.

    Raises ExcursionEnded, and Invalid for an end before its beginning or in the future.
    """
    _check_reason(number, reason)

    def write(tx: Tx) -> Excursion:
        _check_times(site, excursions.get(tx, number).began_at, ended_at)
        excursions.end(tx, number, ended_at, site.stamp(actor, reason))
        return _excursion(tx, number)

    done = await site.store.write(write)
    site.changes.notify("stock")
    return done


async def release(
    site: Site, number: int, item_id: str, lot: str, reason: str, actor: str
) -> Excursion:
    """Release a lot from an excursion, by a person's word and with the reason."""
    _check_reason(number, reason)

    def write(tx: Tx) -> Excursion:
        excursions.release(tx, number, Key(item_id, lot), site.stamp(actor, reason))
        return _excursion(tx, number)

    done = await site.store.write(write)
    site.changes.notify("stock")
    return done


async def excursion(site: Site, number: int) -> Excursion:
    """Return one excursion; raises NotFound."""
    return await site.store.read(lambda tx: _excursion(tx, number))


async def excursions_of(site: Site) -> tuple[ExcursionRow, ...]:
    """Return excursions, oldest first."""
    return await site.store.read(excursions.page)


def _excursion(tx: Tx, number: int) -> Excursion:
    return Excursion(excursions.get(tx, number), excursions.lots(tx, number))


def _check_reason(number: int, reason: str) -> None:
    if not reason.strip():
        raise Invalid(f"excursion {number}: say why")


def _check_times(site: Site, began_at: datetime, ended_at: datetime | None) -> None:
    now = site.now()
    for at in (began_at, ended_at):
        if at is not None and at.utcoffset() is None:
            raise Invalid(f"the time {at.isoformat()} has no zone")
        if at is not None and at > now:
            raise Invalid(f"the time {at.isoformat()} is in the future")
    if ended_at is not None and ended_at < began_at:
        raise Invalid(f"it ended at {ended_at.isoformat()}, before it began")


def _degrees(text: str) -> Decimal:
    try:
        value = Decimal(text.strip()) if len(text) <= DEGREES_MAX else Decimal("NaN")
    except InvalidOperation as error:
        raise Invalid(f"not a temperature: {text[:DEGREES_MAX]!r}") from error
    if not value.is_finite():
        raise Invalid(f"not a temperature: {text[:DEGREES_MAX]!r}")
    return value
