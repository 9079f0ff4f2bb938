"""Kinds of stock movement and the routes they may take between places and accounts."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar

from dispensed.errors import Invalid
from dispensed.model.catalog import PLACE_KINDS, LocationKind


class IllegalMovement(Invalid):
    """A movement of this kind does not go from that source to that target."""

    code: ClassVar[str] = "illegal_movement"


class MovementKind(StrEnum):
    """Why stock moves.

    LOAD is into a device, OUTPUT out of one, PICK from a bin to a fill. REMOVE takes stock into a
    person's hand for one patient; GIVE, WASTE, PUTBACK or LOAD end that. CONSUME takes from a bulk
    lot for a repack run, PRODUCE makes its child lot. RETURN_TO_STOCK undoes a handed-out fill.
    """

    OPENING = "opening"
    RECEIVE = "receive"
    TRANSFER = "transfer"
    LOAD = "load"
    OUTPUT = "output"
    PICK = "pick"
    DISPENSE = "dispense"
    PUTBACK = "putback"
    REJECT = "reject"
    WASTE = "waste"
    FOUND = "found"
    LOSS = "loss"
    RETURN = "return"
    DESTROY = "destroy"
    IN_TRANSIT = "in_transit"
    REMOVE = "remove"
    GIVE = "give"
    CONSUME = "consume"
    PRODUCE = "produce"
    SAMPLE = "sample"
    RETURN_TO_STOCK = "return_to_stock"
    REVERSAL = "reversal"


_Kinds = frozenset[LocationKind]
_K = LocationKind
_SHELVED = frozenset({_K.BIN, _K.RECEIVING, _K.REJECTS, _K.OUTDATE})
_RESTING = _SHELVED | {_K.DEVICE}


def _to(source: LocationKind, targets: _Kinds) -> frozenset[tuple[LocationKind, LocationKind]]:
    return frozenset((source, target) for target in targets)


def _from(sources: _Kinds, target: LocationKind) -> frozenset[tuple[LocationKind, LocationKind]]:
    return frozenset((source, target) for source in sources)


_DIRECT: Mapping[MovementKind, frozenset[tuple[LocationKind, LocationKind]]] = MappingProxyType(
    {
        MovementKind.OPENING: _to(_K.OPENING, _RESTING),
        MovementKind.RECEIVE: _to(_K.SUPPLIER, frozenset({_K.RECEIVING, _K.BIN})),
        MovementKind.TRANSFER: (
            _to(_K.BIN, _SHELVED)
            | _to(_K.RECEIVING, _SHELVED)
            | _to(_K.DEVICE, _SHELVED)
            | _to(_K.OUTDATE, _SHELVED)
            | _to(_K.REJECTS, frozenset({_K.REJECTS, _K.OUTDATE}))
        ),
        MovementKind.LOAD: _from(frozenset({_K.RECEIVING, _K.BIN, _K.FILL, _K.IN_HAND}), _K.DEVICE),
        MovementKind.OUTPUT: _to(_K.DEVICE, frozenset({_K.FILL})),
        MovementKind.PICK: _to(_K.BIN, frozenset({_K.FILL})),
        MovementKind.DISPENSE: _to(_K.FILL, frozenset({_K.DISPENSED})),
        MovementKind.PUTBACK: (
            _to(_K.FILL, frozenset({_K.BIN, _K.RECEIVING, _K.OUTDATE}))
            | _to(_K.IN_HAND, frozenset({_K.BIN, _K.RECEIVING, _K.OUTDATE}))
        ),
        MovementKind.REJECT: _from(
            frozenset({_K.BIN, _K.FILL, _K.DEVICE, _K.RECEIVING}), _K.REJECTS
        ),
        MovementKind.WASTE: _from(PLACE_KINDS, _K.WASTE),
        MovementKind.FOUND: _to(_K.FOUND, PLACE_KINDS),
        MovementKind.LOSS: _from(PLACE_KINDS, _K.LOSS),
        MovementKind.RETURN: _from(_RESTING, _K.REVERSE_DISTRIBUTOR) | _from(_RESTING, _K.SUPPLIER),
        MovementKind.DESTROY: _from(_RESTING, _K.DESTRUCTION),
        MovementKind.IN_TRANSIT: (
            _from(_RESTING, _K.IN_TRANSIT)
            | _to(_K.IN_TRANSIT, frozenset({_K.RECEIVING, _K.BIN, _K.OUTDATE}))
        ),
        MovementKind.REMOVE: _from(frozenset({_K.BIN, _K.DEVICE}), _K.IN_HAND),
        MovementKind.GIVE: _to(_K.IN_HAND, frozenset({_K.DISPENSED})),
        MovementKind.CONSUME: _from(frozenset({_K.BIN, _K.RECEIVING}), _K.REPACK),
        MovementKind.PRODUCE: _to(_K.REPACK, frozenset({_K.BIN, _K.RECEIVING})),
        MovementKind.SAMPLE: _from(frozenset({_K.BIN, _K.RECEIVING}), _K.SAMPLE),
        MovementKind.RETURN_TO_STOCK: _to(
            _K.DISPENSED, frozenset({_K.BIN, _K.RECEIVING, _K.OUTDATE})
        ),
    }
)

ROUTES: Mapping[MovementKind, frozenset[tuple[LocationKind, LocationKind]]] = MappingProxyType(
    {
        **_DIRECT,
        MovementKind.REVERSAL: frozenset(
            (target, source) for routes in _DIRECT.values() for source, target in routes
        ),
    }
)
"""Legal (source, target) kinds of each movement; a reversal runs any legal route backwards."""

_TOWARDS_PATIENT = frozenset(
    {
        MovementKind.LOAD,
        MovementKind.OUTPUT,
        MovementKind.PICK,
        MovementKind.DISPENSE,
        MovementKind.REMOVE,
        MovementKind.GIVE,
        MovementKind.CONSUME,
    }
)


def check_route(kind: MovementKind, source_kind: LocationKind, target_kind: LocationKind) -> None:
    """Raise IllegalMovement unless `kind` may go from `source_kind` to `target_kind`."""
    if (source_kind, target_kind) not in ROUTES[kind]:
        raise IllegalMovement(f"{kind} does not go from {source_kind} to {target_kind}")


def leaves_to_patient_or_device(kind: MovementKind) -> bool:
    """Whether stock moves towards a patient or into a device, which a blocked lot must not do."""
    return kind in _TOWARDS_PATIENT
