"""The states of a LADS cover, by the numbers of its nodeset, and what they say of a drawer."""

import pytest

from drivers.base import DrawerState
from drivers.opcua_cabinet.codec import CoverState, drawer_of, state_of


@pytest.mark.parametrize(
    ("number", "name", "is_open", "locked"),
    [
        (5025, "Opened", True, False),
        (5028, "Closed", False, False),
        (5049, "Locked", False, True),
        (5107, "Unlocking", False, None),
        (5108, "Locking", False, None),
        (5109, "Opening", None, None),
        (5110, "Closing", None, None),
        (5050, "Error", None, None),
    ],
)
def test_only_a_cover_at_rest_is_open_or_shut_for_certain(
    number: int, name: str, *, is_open: bool | None, locked: bool | None
) -> None:
    state = state_of(number)
    assert state is CoverState(name)
    assert drawer_of("a", state) == DrawerState("a", is_open, locked)


def test_a_state_that_is_not_of_lads_says_nothing() -> None:
    assert state_of(None) is None
    assert state_of(5000) is None
    assert drawer_of("a", None) == DrawerState("a", None)
