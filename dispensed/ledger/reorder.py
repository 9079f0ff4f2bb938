"""Reorder policies and proposals; what is on hand, on order and owed of an item."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, func, insert, select, update

from dispensed.errors import Conflict, NotFound
from dispensed.ledger import special
from dispensed.ledger.engine import Tx
from dispensed.ledger.stamp import Stamp, audit
from dispensed.ledger.tables import (
    balance,
    dispense,
    dispense_protocol,
    item,
    location,
    lot,
    proposal,
    reorder_policy,
)
from dispensed.model.catalog import PLACE_KINDS, LocationKind, LotState
from dispensed.model.dispensing import DispenseState
from dispensed.model.planning import PolicyKind, ReorderPolicy, usable_on

_ORDERABLE = tuple(
    kind.value for kind in PLACE_KINDS - {LocationKind.REJECTS, LocationKind.OUTDATE}
)


class ProposalDecided(Conflict):
    """The proposal was decided already."""

    code = "proposal_decided"


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """The policy of one item; `location_id` is where its orders arrive."""

    item_id: str
    location_id: str
    policy: ReorderPolicy


@dataclass(frozen=True, slots=True)
class ProposalRow:
    """One proposal; `explanation` is JSON with the numbers that led to it."""

    id: int
    item_id: str
    name: str
    unit: str
    pack_milli: int
    location_id: str
    milli: int
    received_milli: int
    state: str
    explanation: str
    actor: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Position:
    """What counts towards an item's inventory position, in thousandths."""

    usable: int
    on_order: int
    owed: int


def put_policy(tx: Tx, item_id: str, location_id: str, policy: ReorderPolicy, stamp: Stamp) -> None:
    """Set the policy of an item, in place of an earlier one."""
    values = {
        "kind": policy.kind.value,
        "min_milli": policy.min_milli,
        "max_milli": policy.max_milli,
        "pack_milli": policy.pack_milli,
        "minimum_packs": policy.minimum_packs,
        "actor": stamp.actor,
        "recorded_at": stamp.at,
    }
    changed = tx.execute(
        update(reorder_policy)
        .where(reorder_policy.c.item_id == item_id, reorder_policy.c.location_id == location_id)
        .values(values)
    ).rowcount
    if not changed:
        key = {"item_id": item_id, "location_id": location_id}
        tx.execute(insert(reorder_policy), {**key, **values})
    audit(tx, stamp, "set", f"reorder policy {item_id}", {"kind": policy.kind.value})


def policies(tx: Tx) -> tuple[PolicyRow, ...]:
    """Return every policy by item."""
    query = select(reorder_policy).order_by(reorder_policy.c.item_id, reorder_policy.c.location_id)
    return tuple(
        PolicyRow(
            row.item_id,
            row.location_id,
            ReorderPolicy(
                PolicyKind(row.kind),
                row.min_milli,
                row.max_milli,
                row.pack_milli,
                row.minimum_packs,
            ),
        )
        for row in tx.execute(query)
    )


def position(tx: Tx, item_id: str, location_id: str, on_date: date) -> Position:
    """Return usable stock of the site, what is on order, and what open dispenses still need.

    Blocked stock (state, expiry) and what lies in rejects or outdates does not count as usable,
    nor does the stock of a trial, nor what its dispenses still need.
    Stock in the fill tray is promised: it counts neither as usable nor as owed.
    """
    rows = tx.execute(
        select(balance.c.location_id, balance.c.on_hand, balance.c.held, lot.c.expiry)
        .join(lot, (lot.c.item_id == balance.c.item_id) & (lot.c.lot == balance.c.lot))
        .join(location, location.c.location_id == balance.c.location_id)
        .where(
            balance.c.item_id == item_id,
            location.c.kind.in_([kind for kind in _ORDERABLE if kind != LocationKind.FILL]),
            lot.c.state == LotState.RELEASED.value,
        )
    )
    trials = special.trial_places(tx)
    usable = sum(
        row.on_hand - row.held
        for row in rows
        if usable_on(row.expiry, on_date) and row.location_id not in trials
    )
    ordered = tx.execute(
        select(func.coalesce(func.sum(proposal.c.milli - proposal.c.received_milli), 0)).where(
            proposal.c.item_id == item_id,
            proposal.c.location_id == location_id,
            proposal.c.state == "approved",
        )
    ).scalar_one()
    owed = tx.execute(
        select(func.coalesce(func.sum(dispense.c.milli), 0)).where(
            dispense.c.item_id == item_id,
            dispense.c.state == DispenseState.REQUESTED.value,
            dispense.c.id.not_in(select(dispense_protocol.c.dispense_id)),
        )
    ).scalar_one()
    return Position(int(usable), int(ordered), int(owed))


def set_open(
    tx: Tx, item_id: str, location_id: str, milli: int, explanation: str, stamp: Stamp
) -> None:
    """Make the one open proposal of an item exactly `milli`: open, resize or cancel it."""
    found = tx.execute(
        select(proposal.c.id, proposal.c.milli, proposal.c.explanation).where(
            _of(item_id, location_id), proposal.c.state == "open"
        )
    ).one_or_none()
    if found is None and milli:
        values = {
            "item_id": item_id,
            "location_id": location_id,
            "milli": milli,
            "received_milli": 0,
            "state": "open",
            "explanation": explanation,
            "actor": stamp.actor,
            "updated_at": stamp.at,
            "recorded_at": stamp.at,
        }
        tx.execute(insert(proposal), values)
        audit(tx, stamp, "proposed", f"order {item_id}", {"milli": milli})
    elif found is not None and not milli:
        _set_state(tx, found.id, "cancelled", stamp)
    elif found is not None and (found.milli, found.explanation) != (milli, explanation):
        tx.execute(
            update(proposal)
            .where(proposal.c.id == found.id)
            .values(milli=milli, explanation=explanation, updated_at=stamp.at)
        )


def decide(tx: Tx, proposal_id: int, state: str, stamp: Stamp) -> ProposalRow:
    """Approve or cancel an open proposal; raises NotFound or ProposalDecided."""
    row = get(tx, proposal_id)
    if row.state != "open":
        raise ProposalDecided(f"proposal {proposal_id} is {row.state} by {row.actor}")
    _set_state(tx, proposal_id, state, stamp)
    return get(tx, proposal_id)


def receive(tx: Tx, item_id: str, milli: int, stamp: Stamp) -> None:
    """Count received stock against the approved proposals of an item, oldest first."""
    left = milli
    for row in proposals(tx, state="approved", item_id=item_id):
        part = min(left, row.milli - row.received_milli)
        if part <= 0:
            continue
        received = row.received_milli + part
        state = "received" if received == row.milli else "approved"
        tx.execute(
            update(proposal)
            .where(proposal.c.id == row.id)
            .values(received_milli=received, state=state, updated_at=stamp.at)
        )
        left -= part


def get(tx: Tx, proposal_id: int) -> ProposalRow:
    """Return one proposal; raises NotFound."""
    rows = _rows(tx, proposal.c.id == proposal_id)
    if not rows:
        raise NotFound(f"no proposal {proposal_id}")
    return rows[0]


def proposals(
    tx: Tx, *, state: str | None = "open", item_id: str | None = None
) -> tuple[ProposalRow, ...]:
    """Return the proposals of a state (or all) by ascending id."""
    conditions = [proposal.c.id > 0]
    if state is not None:
        conditions.append(proposal.c.state == state)
    if item_id is not None:
        conditions.append(proposal.c.item_id == item_id)
    return _rows(tx, *conditions)


def _of(item_id: str, location_id: str) -> ColumnElement[bool]:
    return (proposal.c.item_id == item_id) & (proposal.c.location_id == location_id)


def _set_state(tx: Tx, proposal_id: int, state: str, stamp: Stamp) -> None:
    tx.execute(
        update(proposal)
        .where(proposal.c.id == proposal_id)
        .values(state=state, actor=stamp.actor, updated_at=stamp.at)
    )
    audit(tx, stamp, state, f"proposal {proposal_id}", {})


def _rows(tx: Tx, *conditions: ColumnElement[bool]) -> tuple[ProposalRow, ...]:
    query = (
        select(proposal, item.c.name, item.c.unit, item.c.pack_milli)
        .join(item, item.c.item_id == proposal.c.item_id)
        .where(*conditions)
        .order_by(proposal.c.id)
    )
    return tuple(
        ProposalRow(
            id=row.id,
            item_id=row.item_id,
            name=row.name,
            unit=row.unit,
            pack_milli=row.pack_milli,
            location_id=row.location_id,
            milli=row.milli,
            received_milli=row.received_milli,
            state=row.state,
            explanation=row.explanation,
            actor=row.actor,
            updated_at=row.updated_at,
        )
        for row in tx.execute(query)
    )
