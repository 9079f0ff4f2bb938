"""Which movements are legal."""

import pytest

from dispensed.model.catalog import PLACE_KINDS, LocationKind
from dispensed.model.movement import (
    ROUTES,
    IllegalMovement,
    MovementKind,
    check_route,
    leaves_to_patient_or_device,
)

K = LocationKind
M = MovementKind


@pytest.mark.parametrize(
    ("kind", "source", "target"),
    [
        (M.OPENING, K.OPENING, K.BIN),
        (M.OPENING, K.OPENING, K.DEVICE),
        (M.RECEIVE, K.SUPPLIER, K.RECEIVING),
        (M.TRANSFER, K.RECEIVING, K.BIN),
        (M.TRANSFER, K.BIN, K.BIN),
        (M.TRANSFER, K.DEVICE, K.OUTDATE),
        (M.LOAD, K.RECEIVING, K.DEVICE),
        (M.OUTPUT, K.DEVICE, K.FILL),
        (M.PICK, K.BIN, K.FILL),
        (M.DISPENSE, K.FILL, K.DISPENSED),
        (M.PUTBACK, K.FILL, K.BIN),
        (M.REJECT, K.BIN, K.REJECTS),
        (M.WASTE, K.REJECTS, K.WASTE),
        (M.FOUND, K.FOUND, K.BIN),
        (M.LOSS, K.DEVICE, K.LOSS),
        (M.RETURN, K.OUTDATE, K.REVERSE_DISTRIBUTOR),
        (M.DESTROY, K.REJECTS, K.DESTRUCTION),
        (M.IN_TRANSIT, K.BIN, K.IN_TRANSIT),
        (M.IN_TRANSIT, K.IN_TRANSIT, K.RECEIVING),
        (M.REMOVE, K.DEVICE, K.IN_HAND),
        (M.GIVE, K.IN_HAND, K.DISPENSED),
        (M.PUTBACK, K.IN_HAND, K.BIN),
        (M.WASTE, K.IN_HAND, K.WASTE),
        (M.CONSUME, K.BIN, K.REPACK),
        (M.PRODUCE, K.REPACK, K.BIN),
        (M.SAMPLE, K.BIN, K.SAMPLE),
        (M.RETURN_TO_STOCK, K.DISPENSED, K.BIN),
        (M.REVERSAL, K.DISPENSED, K.FILL),
        (M.REVERSAL, K.RECEIVING, K.SUPPLIER),
    ],
)
def test_the_usual_routes_are_open(
    kind: MovementKind, source: LocationKind, target: LocationKind
) -> None:
    check_route(kind, source, target)


@pytest.mark.parametrize(
    ("kind", "source", "target"),
    [
        (M.DISPENSE, K.BIN, K.DISPENSED),
        (M.DISPENSE, K.FILL, K.WASTE),
        (M.RECEIVE, K.SUPPLIER, K.DISPENSED),
        (M.RECEIVE, K.OPENING, K.BIN),
        (M.TRANSFER, K.BIN, K.DEVICE),
        (M.TRANSFER, K.BIN, K.FILL),
        (M.TRANSFER, K.REJECTS, K.BIN),
        (M.PUTBACK, K.FILL, K.DEVICE),
        (M.OUTPUT, K.BIN, K.FILL),
        (M.PICK, K.OUTDATE, K.FILL),
        (M.PICK, K.SITE, K.FILL),
        (M.FOUND, K.SUPPLIER, K.BIN),
        (M.GIVE, K.BIN, K.DISPENSED),
        (M.PUTBACK, K.IN_HAND, K.DEVICE),
        (M.CONSUME, K.OUTDATE, K.REPACK),
        (M.PRODUCE, K.REPACK, K.DEVICE),
        (M.RETURN_TO_STOCK, K.DISPENSED, K.DEVICE),
        (M.REVERSAL, K.DISPENSED, K.BIN),
        (M.REVERSAL, K.WASTE, K.SUPPLIER),
    ],
)
def test_other_routes_are_refused(
    kind: MovementKind, source: LocationKind, target: LocationKind
) -> None:
    with pytest.raises(IllegalMovement, match=f"{kind} does not go from {source} to {target}"):
        check_route(kind, source, target)


def test_every_kind_has_routes_and_every_route_touches_the_pharmacys_stock() -> None:
    assert set(ROUTES) == set(MovementKind)
    for routes in ROUTES.values():
        assert routes
        for source, target in routes:
            assert source in PLACE_KINDS or target in PLACE_KINDS


def test_groups_of_places_take_part_in_no_movement() -> None:
    ends = {end for routes in ROUTES.values() for route in routes for end in route}
    assert ends.isdisjoint({K.SITE, K.AREA})


def test_only_dispensing_and_giving_reach_the_patient() -> None:
    assert {
        kind
        for kind, routes in ROUTES.items()
        if any(target is K.DISPENSED for _, target in routes)
    } == {M.DISPENSE, M.GIVE, M.REVERSAL}


def test_everything_put_into_a_device_is_a_load_an_opening_a_find_or_a_reversal() -> None:
    assert {
        kind for kind, routes in ROUTES.items() if any(target is K.DEVICE for _, target in routes)
    } == {M.LOAD, M.OPENING, M.FOUND, M.REVERSAL}


def test_a_blocked_lot_can_leave_from_every_resting_place() -> None:
    for place in PLACE_KINDS - {K.FILL, K.IN_HAND}:
        assert (place, K.OUTDATE) in ROUTES[M.TRANSFER]
        assert (place, K.REVERSE_DISTRIBUTOR) in ROUTES[M.RETURN]
        assert (place, K.DESTRUCTION) in ROUTES[M.DESTROY]
    assert (K.FILL, K.OUTDATE) in ROUTES[M.PUTBACK]
    assert (K.IN_HAND, K.OUTDATE) in ROUTES[M.PUTBACK]


def test_these_kinds_bring_stock_towards_a_patient() -> None:
    assert {kind for kind in MovementKind if leaves_to_patient_or_device(kind)} == {
        M.LOAD,
        M.OUTPUT,
        M.PICK,
        M.DISPENSE,
        M.REMOVE,
        M.GIVE,
        M.CONSUME,
    }
