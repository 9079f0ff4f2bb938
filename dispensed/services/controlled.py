"""What an inspector asks of controlled substances: record, order forms, vault and persons."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from dispensed.errors import Invalid
from dispensed.ledger import catalog, order_forms
from dispensed.ledger import controlled as rows
from dispensed.ledger.controlled import Record
from dispensed.ledger.engine import Tx
from dispensed.ledger.order_forms import FormLine, FormRow
from dispensed.model import diversion
from dispensed.model.controlled import Unmatched, compare_passages, order_kind
from dispensed.model.diversion import Standing
from dispensed.model.quantity import Quantity
from dispensed.services.site import Site

PERIOD_DAYS = 90
"""The period of comparisons when none is given."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """One line of an order form; `package` is the content of one package, text in the unit."""

    line: int
    item_id: str
    packages: int
    package: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What left the vault and did not arrive in time, and what was loaded that did not leave it."""

    vaults: tuple[str, ...]
    since: datetime
    until: datetime
    within_hours: int
    issues: tuple[Unmatched, ...]
    loads: tuple[Unmatched, ...]


async def record(
    site: Site,
    item_id: str,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    after: int = 0,
    limit: int = rows.RECORD_MAX,
) -> Record:
    """Return the perpetual record of one controlled item with running balances."""
    return await site.store.read(
        lambda tx: rows.controlled_record(tx, item_id, since, until, after=after, limit=limit)
    )


async def compare(
    site: Site,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    vaults: tuple[str, ...] = (),
) -> Comparison:
    """Compare what left the vault with what entered cabinets; the last 90 days unless told.

    An issue that is younger than the time allowed is not missing yet and is left out.
    """
    chosen = vaults or (site.controlled.vault,)
    begin, end = _period(site, since, until)
    hours = site.controlled.compare_hours
    within = timedelta(hours=hours)

    def read(tx: Tx) -> Comparison:
        for vault in chosen:
            catalog.get_location(tx, vault)
        seen = rows.passages(tx, chosen, begin - within, end + within)
        missing, unasked = compare_passages(seen.issues, seen.loads, within, returns=seen.returns)
        return Comparison(
            vaults=chosen,
            since=begin,
            until=end,
            within_hours=hours,
            issues=_of(missing, begin, min(end, site.now() - within)),
            loads=_of(unasked, begin, end),
        )

    return await site.store.read(read)


async def indicators(
    site: Site, since: datetime | None = None, until: datetime | None = None
) -> tuple[Standing, ...]:
    """Rank persons by how far they differ from their peers; the last 90 days unless told."""
    begin, end = _period(site, since, until)
    minimum = site.controlled.indicator_minimum
    return await site.store.read(
        lambda tx: diversion.rank(rows.tallies(tx, begin, end), minimum=minimum)
    )


async def put_order_form(
    site: Site,
    number: str,
    supplier: str,
    ordered_on: date,
    lines: tuple[Ordered, ...],
    actor: str,
) -> FormRow:
    """Record an order form with its lines; the same one again changes nothing."""
    kind = order_kind(number, site.controlled.order_form_pattern)
    if ordered_on > site.today():
        raise Invalid(f"order form {number} of {ordered_on} is dated in the future")
    if not supplier.strip():
        raise Invalid(f"order form {number} names no supplier")

    def write(tx: Tx) -> FormRow:
        wanted = [
            FormLine(
                each.line,
                each.item_id,
                each.packages,
                Quantity.parse(each.package, catalog.get_item(tx, each.item_id).unit).milli,
            )
            for each in lines
        ]
        return order_forms.put(
            tx,
            number,
            kind=kind.value,
            supplier=supplier.strip(),
            ordered_on=ordered_on,
            lines=wanted,
            stamp=site.stamp(actor),
        )

    return await site.store.write(write)


async def order_form(site: Site, number: str) -> FormRow:
    """Return one order form with what came on it."""
    return await site.store.read(lambda tx: order_forms.get(tx, number))


async def order_form_list(site: Site, *, after: str = "", limit: int) -> tuple[FormRow, ...]:
    """Return order forms by ascending number."""
    return await site.store.read(lambda tx: order_forms.page(tx, after=after, limit=limit))


def _of(found: tuple[Unmatched, ...], begin: datetime, end: datetime) -> tuple[Unmatched, ...]:
    return tuple(each for each in found if begin <= each.passage.at < end)


def _period(
    site: Site, since: datetime | None, until: datetime | None
) -> tuple[datetime, datetime]:
    end = until or site.now()
    begin = since or end - timedelta(days=PERIOD_DAYS)
    if begin >= end:
        raise Invalid(f"the period from {begin.isoformat()} to {end.isoformat()} is empty")
    return begin, end
