"""Dispenses: one row per fill.

Its state changes only along the state machine, each change audited.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import BindParameter, Row, Select, Update, bindparam, insert, select, update

from dispensed.errors import Conflict, NotFound
from dispensed.ledger.engine import Tx
from dispensed.ledger.picking import picked
from dispensed.ledger.stamp import Stamp, audit
from dispensed.ledger.tables import dispense, item
from dispensed.model.dispensing import DispenseState, advance, check_count

Field = str | int | None


class OrderExists(Conflict):
    """Another request used this order reference, or this request id asked for something else."""

    code = "order_exists"


class Unverified(Conflict):
    """Nobody is named who verified the fill."""

    code = "unverified"


@dataclass(frozen=True, slots=True)
class NewDispense:
    """A fill as ordered; `patient_key` is opaque, higher `priority` goes first."""

    order_ref: str
    request_id: str
    item_id: str
    milli: int
    patient_key: str
    priority: int
    route: str


@dataclass(frozen=True, slots=True)
class DispenseRow:
    """One dispense with its item's name and unit."""

    id: int
    order_ref: str
    request_id: str
    item_id: str
    name: str
    unit: str
    milli: int
    patient_key: str
    priority: int
    state: DispenseState
    route: str
    device_id: str | None
    counted_milli: int | None
    weigh_result: str | None
    verified_by: str | None
    label_proof: str | None
    note: str
    requested_at: datetime
    updated_at: datetime


def create(tx: Tx, new: NewDispense, stamp: Stamp) -> DispenseRow:
    """Record an order; the same request again returns its row. Raises OrderExists."""
    query = _SELECT.where(
        (dispense.c.request_id == new.request_id) | (dispense.c.order_ref == new.order_ref)
    )
    for row in _rows(tx, query):
        known = NewDispense(
            order_ref=row.order_ref,
            request_id=row.request_id,
            item_id=row.item_id,
            milli=row.milli,
            patient_key=row.patient_key,
            priority=row.priority,
            route=row.route,
        )
        if known != new:
            raise OrderExists(
                f"dispense {row.id} has order {row.order_ref} of request {row.request_id}:"
                f" {row.milli} thousandths of item {row.item_id} were asked there"
            )
        return row
    dispense_id = tx.execute(
        insert(dispense).returning(dispense.c.id),
        {
            "order_ref": new.order_ref,
            "request_id": new.request_id,
            "item_id": new.item_id,
            "milli": new.milli,
            "patient_key": new.patient_key,
            "priority": new.priority,
            "state": DispenseState.REQUESTED.value,
            "route": new.route,
            "note": "",
            "requested_at": stamp.at,
            "updated_at": stamp.at,
            "recorded_at": stamp.at,
        },
    ).scalar_one()
    audit(tx, stamp, "requested", f"dispense {dispense_id}", {"milli": new.milli})
    return get(tx, dispense_id)


def find(tx: Tx, dispense_id: int) -> DispenseRow | None:
    """Return one dispense or None."""
    row = tx.execute(_BY_ID, {"wanted": dispense_id}).one_or_none()
    return None if row is None else _row(row)


def get(tx: Tx, dispense_id: int) -> DispenseRow:
    """Return one dispense; raises NotFound."""
    row = find(tx, dispense_id)
    if row is None:
        raise NotFound(f"no dispense {dispense_id}")
    return row


def set_state(
    tx: Tx, dispense_id: int, to: DispenseState, stamp: Stamp, **fields: Field
) -> DispenseRow:
    """Move a dispense to `to` and set other columns with it.

    Raises AlreadySettled or IllegalTransition when `to` does not follow its present state;
    CountDiffers when it would be verified with a count, or settled with a content of the tray, that
    is not the ordered quantity; Unverified without a verifier.
    """
    row = get(tx, dispense_id)
    advance(row.state, to)
    if to in (DispenseState.VERIFIED, DispenseState.SETTLED):
        _check_verified(tx, row, to, fields)
    _write(tx, dispense_id, stamp, {**fields, "state": to.value})
    audit(tx, stamp, to.value, f"dispense {dispense_id}", {"from": row.state.value})
    return get(tx, dispense_id)


def update_fields(tx: Tx, dispense_id: int, stamp: Stamp, **fields: Field) -> DispenseRow:
    """Set columns other than the state; nothing is written when nothing changes."""
    row = get(tx, dispense_id)
    before = asdict(row)
    if any(before[name] != value for name, value in fields.items()):
        _write(tx, dispense_id, stamp, fields)
        changed = {name: value for name, value in fields.items() if name != "note"}
        if changed:
            audit(tx, stamp, "updated", f"dispense {dispense_id}", changed)
    return get(tx, dispense_id)


def page(
    tx: Tx, *, state: DispenseState | None = None, after: int = 0, limit: int = 100
) -> tuple[DispenseRow, ...]:
    """Return dispenses by ascending id, after an id, of one state or all."""
    query = _SELECT.where(dispense.c.id > after).order_by(dispense.c.id).limit(limit)
    if state is not None:
        query = query.where(dispense.c.state == state.value)
    return _rows(tx, query)


def newest(tx: Tx, limit: int) -> tuple[DispenseRow, ...]:
    """Return the newest dispenses, newest first."""
    return _rows(tx, _SELECT.order_by(dispense.c.id.desc()).limit(limit))


def in_states(tx: Tx, states: Collection[DispenseState]) -> tuple[DispenseRow, ...]:
    """Return every dispense in one of some states, oldest first."""
    values = [state.value for state in states]
    return _rows(tx, _SELECT.where(dispense.c.state.in_(values)).order_by(dispense.c.id))


def waiting(tx: Tx, limit: int, skip: Collection[int]) -> tuple[DispenseRow, ...]:
    """Return what a machine can work on: requested, or in doubt at a device.

    Urgent and old first.
    """
    requested = dispense.c.state == DispenseState.REQUESTED.value
    doubtful = (dispense.c.state == DispenseState.IN_DOUBT.value) & dispense.c.device_id.is_not(
        None
    )
    query = _SELECT.where(requested | doubtful, dispense.c.id.not_in(sorted(skip)))
    return _rows(tx, query.order_by(dispense.c.priority.desc(), dispense.c.id).limit(limit))


def devices_in_doubt(tx: Tx) -> frozenset[str]:
    """Return the devices at which a dispense is in doubt."""
    query = select(dispense.c.device_id).where(
        dispense.c.state == DispenseState.IN_DOUBT.value, dispense.c.device_id.is_not(None)
    )
    return frozenset(tx.scalars(query))


_SELECT = select(dispense, item.c.name, item.c.unit).join(
    item, item.c.item_id == dispense.c.item_id
)
_BY_ID = _SELECT.where(dispense.c.id == bindparam("wanted"))  # built once: it is asked most often
_FIELDS = tuple(DispenseRow.__dataclass_fields__)


def _write(tx: Tx, dispense_id: int, stamp: Stamp, fields: dict[str, Field]) -> None:
    values = {f"new_{name}": value for name, value in fields.items()}
    statement = _update_of(tuple(sorted(fields)))
    tx.execute(statement, {"wanted": dispense_id, "new_updated_at": stamp.at, **values})


@cache
def _update_of(names: tuple[str, ...]) -> Update:
    """Return the statement that sets some columns of one dispense; built once for each set."""
    new: dict[str, BindParameter[object]] = {
        name: bindparam(f"new_{name}") for name in (*names, "updated_at")
    }
    return update(dispense).where(dispense.c.id == bindparam("wanted")).values(new)


def _check_verified(
    tx: Tx, row: DispenseRow, to: DispenseState, fields: Mapping[str, Field]
) -> None:
    counted = int(fields.get("counted_milli", row.counted_milli) or 0)
    if to is DispenseState.SETTLED:
        counted = sum(part.milli for part in picked(tx, row.id))
    check_count(
        ordered_item=row.item_id,
        ordered_milli=row.milli,
        counted_item=row.item_id,
        counted_milli=counted,
    )
    if not fields.get("verified_by", row.verified_by):
        raise Unverified(f"dispense {row.id}: nobody is named who verified it")


def _rows(tx: Tx, query: Select[*tuple[object, ...]]) -> tuple[DispenseRow, ...]:
    return tuple(_row(row) for row in _fetch(tx, query))


def _fetch(tx: Tx, query: Select[*tuple[object, ...]]) -> Sequence[Row[*tuple[object, ...]]]:
    return tx.execute(query).all()


def _row(row: Row[*tuple[object, ...]]) -> DispenseRow:
    data = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    fields = {name: data[name] for name in _FIELDS}
    return DispenseRow(**{**fields, "state": DispenseState(fields["state"])})
