"""Opened containers: open one, say what is left, close it, flag those whose date has passed.

A multiple-dose vial, an insulin or a bottle of liquid may be used for a shorter time once it is
open. The book keeps its content as stock of its lot; an open container whose date has passed is not
picked from any more, and the job `containers` flags it once.
"""

from dataclasses import dataclass
from datetime import date

from dispensed.errors import Invalid
from dispensed.ledger import catalog, containers, post
from dispensed.ledger.containers import ContainerRow, ContainerState, NewContainer
from dispensed.ledger.engine import Tx
from dispensed.ledger.holds import check_usable
from dispensed.ledger.post import InsufficientStock, Move, RequestReused
from dispensed.ledger.read import free_milli
from dispensed.ledger.rules import check_request_id, find_moved_lot
from dispensed.model.catalog import LocationKind
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import Quantity, format_milli
from dispensed.model.repacking import OPENING_RULES, UseByRule, find_rule, labelled_rule, use_by
from dispensed.services.site import Site

ACTOR = "container-scan"
WASTE = "ext:waste"
FLAGS_MAX = 10_000
"""Most containers that one scan flags; the next one goes on."""
_PLACES = frozenset({LocationKind.BIN, LocationKind.RECEIVING, LocationKind.DEVICE})


@dataclass(frozen=True, slots=True)
class Open:
    """A container as opened today, or on an earlier day that is written on it.

    `rule` is one of OPENING_RULES; `days` instead of it are those of the product's label. `left` is
    plain decimal text of what is in it, None when nobody keeps count.
    """

    request_id: str
    item_id: str
    lot: str
    location: str
    rule: str | None = None
    days: int | None = None
    opened_on: date | None = None
    left: str | None = None
    reason: str = ""


async def open_container(site: Site, asked: Open, actor: str) -> ContainerRow:
    """Record that a container is opened; a repeat of the same request returns it.

    Its date is the earliest of the lot's expiry and what the rule allows. Raises BlockedLot for a
    lot that is not usable, InsufficientStock when nothing of it lies there, Invalid otherwise.
    """
    rule = _rule(asked)
    stamp = site.stamp(actor, asked.reason)

    def write(tx: Tx) -> ContainerRow:
        check_request_id(asked.request_id)
        known = containers.find(tx, asked.request_id)
        if known is not None:
            return _first_answer(known, asked)
        lot = find_moved_lot(tx, asked.item_id, asked.lot)
        check_usable(lot, site.today())
        day = asked.opened_on or site.today()
        if day > site.today():
            raise Invalid(f"a container cannot be opened on {day}, today is {site.today()}")
        item = catalog.get_item(tx, asked.item_id)
        left = None if asked.left is None else Quantity.parse(asked.left, item.unit).milli
        _check_there(tx, asked, item.pack_milli, left)
        new = NewContainer(
            item_id=item.item_id,
            lot=asked.lot,
            location_id=asked.location,
            opened_at=site.now(),
            opened_on=day,
            rule=rule.name,
            rule_source=rule.source,
            use_by=use_by(rule, day=day, expiry=lot.expiry),
            content_milli=item.pack_milli,
            left_milli=left,
        )
        return containers.add(tx, new, request_id=asked.request_id, stamp=stamp)

    row = await site.store.write(write)
    site.changes.notify("stock")
    return row


def _rule(asked: Open) -> UseByRule:
    if (asked.rule is None) == (asked.days is None):
        raise Invalid("give either a rule or the days of the label")
    if asked.days is not None:
        return labelled_rule(asked.days)
    return find_rule(OPENING_RULES, asked.rule or "")


def _first_answer(known: ContainerRow, asked: Open) -> ContainerRow:
    if (known.item_id, known.lot, known.location_id) != (
        asked.item_id,
        asked.lot,
        asked.location,
    ):
        raise RequestReused(f"request {asked.request_id} opened container {known.id}")
    return known


def _check_there(tx: Tx, asked: Open, pack_milli: int, left: int | None) -> None:
    kind = catalog.get_location(tx, asked.location).kind
    if kind not in _PLACES:
        raise Invalid(f"location {asked.location} is a {kind}; open a container in its bin")
    if left is not None and not 0 < left <= pack_milli:
        raise Invalid(
            f"{format_milli(left)} left in a container of {format_milli(pack_milli)} is not"
            " possible"
        )
    if free_milli(tx, asked.item_id, asked.lot, asked.location) < max(left or 0, 1):
        raise InsufficientStock(
            f"lot {asked.lot} of item {asked.item_id} at {asked.location}: nothing there to open"
        )


async def state_left(site: Site, container_id: int, left: str, actor: str) -> ContainerRow:
    """Say how much is left in an open container, as plain decimal text."""
    stamp = site.stamp(actor)

    def write(tx: Tx) -> ContainerRow:
        row = containers.get(tx, container_id)
        milli = Quantity.parse(left, catalog.get_item(tx, row.item_id).unit).milli
        if milli > row.content_milli:
            raise Invalid(
                f"container {container_id} holds {format_milli(row.content_milli)} {row.unit},"
                f" {format_milli(milli)} cannot be left"
            )
        return containers.set_left(tx, container_id, milli, stamp)

    return await site.store.write(write)


async def close_empty(site: Site, container_id: int, actor: str) -> ContainerRow:
    """Say that a container is used up; nothing moves, its doses are booked as they were given."""
    stamp = site.stamp(actor)
    row = await site.store.write(
        lambda tx: containers.close(tx, container_id, ContainerState.EMPTY, stamp)
    )
    site.changes.notify("stock")
    return row


async def discard(
    site: Site, container_id: int, wasted: str, reason: str, actor: str
) -> ContainerRow:
    """Throw a container away and book what was in it as waste; "0" when it was empty.

    Waste of a controlled substance is refused by the ledger without its witness: waste it first,
    then discard the container with 0. Raises ContainerClosed, InsufficientStock, Invalid.
    """
    if not reason.strip():
        raise Invalid(f"container {container_id}: say why it is discarded")
    stamp = site.stamp(actor, reason)

    def write(tx: Tx) -> ContainerRow:
        row = containers.get(tx, container_id)
        milli = Quantity.parse(wasted, catalog.get_item(tx, row.item_id).unit).milli
        if milli > row.content_milli:
            raise Invalid(
                f"container {container_id} holds {format_milli(row.content_milli)} {row.unit},"
                f" {format_milli(milli)} cannot be wasted"
            )
        closed = containers.close(tx, container_id, ContainerState.DISCARDED, stamp)
        if milli == 0:
            return closed
        move = Move(
            kind=MovementKind.WASTE,
            item_id=row.item_id,
            lot=row.lot,
            source=row.location_id,
            target=WASTE,
            milli=milli,
            request_id=f"container:{container_id}",
            occurred_at=site.now(),
        )
        posted = post.post(tx, move, stamp, on_date=site.today())
        return containers.set_movement(tx, container_id, posted.movement_id)

    done = await site.store.write(write)
    site.changes.notify("stock")
    return done


async def opened(
    site: Site,
    *,
    state: str | None = None,
    expired: bool = False,
    after: int = 0,
    limit: int = 100,
) -> tuple[ContainerRow, ...]:
    """Return containers by ascending id; `expired` keeps open ones whose date has passed."""
    if state is not None and state not in tuple(ContainerState):
        raise Invalid(f"state {state[:80]!r} is not one of {', '.join(ContainerState)}")
    wanted = None if state is None else ContainerState(state)
    today = site.today() if expired else None
    return await site.store.read(
        lambda tx: containers.page(tx, state=wanted, expired_on=today, after=after, limit=limit)
    )


async def scan(site: Site) -> tuple[ContainerRow, ...]:
    """Flag open containers whose date has passed, each once; returns those flagged now."""
    stamp = site.stamp(ACTOR)
    today = site.today()
    rows = await site.store.write(
        lambda tx: containers.flag_expired(tx, today, stamp, limit=FLAGS_MAX)
    )
    if rows:
        site.changes.notify("stock")
    return rows
