"""Totals of the ledger for monitoring, kept up to date by reading only what is new."""

from dataclasses import dataclass, field, replace

from sqlalchemy import Select, func, select

from dispensed.ledger.engine import Tx
from dispensed.ledger.tables import IS_NEW, chain_head, discrepancy, dispense, inbox, movement
from dispensed.model.dispensing import DispenseState


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals up to a movement and a message; give the last ones to `update` to get the next."""

    last_movement: int = 0
    last_message: int = 0
    movements: dict[str, int] = field(default_factory=dict)
    messages: dict[tuple[str, str], int] = field(default_factory=dict)
    waiting: int = 0
    dispenses: dict[str, int] = field(default_factory=dict)
    discrepancies: dict[str, int] = field(default_factory=dict)


def update(tx: Tx, known: Counts) -> Counts:
    """Return the totals at this moment; movements and messages are never removed or renumbered."""
    last_movement = tx.execute(select(chain_head.c.last_id)).scalar_one()
    last_message = tx.execute(select(func.coalesce(func.max(inbox.c.id), 0))).scalar_one()
    movements = dict(known.movements)
    for kind, count in tx.execute(
        select(movement.c.kind, func.count())
        .where(movement.c.id > known.last_movement, movement.c.id <= last_movement)
        .group_by(movement.c.kind)
    ):
        movements[kind] = movements.get(kind, 0) + count
    messages = dict(known.messages)
    for device, kind, count in tx.execute(
        select(inbox.c.device_id, inbox.c.kind, func.count())
        .where(inbox.c.id > known.last_message, inbox.c.id <= last_message)
        .group_by(inbox.c.device_id, inbox.c.kind)
    ):
        messages[device, kind] = messages.get((device, kind), 0) + count
    waiting = tx.execute(select(func.count()).where(IS_NEW)).scalar_one()
    states = select(dispense.c.state, func.count()).group_by(dispense.c.state)
    differences = (
        select(discrepancy.c.kind, func.count())
        .where(discrepancy.c.state == "open")
        .group_by(discrepancy.c.kind)
    )
    return replace(
        known,
        last_movement=last_movement,
        last_message=last_message,
        movements=movements,
        messages=messages,
        waiting=waiting,
        dispenses=_pairs(tx, states),
        discrepancies=_pairs(tx, differences),
    )


def unfinished_dispenses(tx: Tx) -> dict[str, int]:
    """Count the dispenses of every state that something still follows."""
    open_states = [state.value for state in DispenseState if not state.is_terminal]
    query = (
        select(dispense.c.state, func.count())
        .where(dispense.c.state.in_(open_states))
        .group_by(dispense.c.state)
    )
    return _pairs(tx, query)


def _pairs(tx: Tx, query: Select[str, int]) -> dict[str, int]:
    return {name: count for name, count in tx.execute(query)}  # noqa: C416 - rows are not tuples
