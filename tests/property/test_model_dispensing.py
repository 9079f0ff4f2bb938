"""Laws of the dispense's state machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispensed.errors import Conflict
from dispensed.model.dispensing import TRANSITIONS, DispenseState, advance

S = DispenseState


def reachable(start: DispenseState, without: DispenseState | None = None) -> set[DispenseState]:
    seen, ahead = {start}, [start]
    while ahead:
        for state in TRANSITIONS[ahead.pop()] - seen - {without}:
            seen.add(state)
            ahead.append(state)
    return seen


def test_every_state_can_be_reached_from_requested() -> None:
    assert reachable(S.REQUESTED) == set(S)


@pytest.mark.parametrize("state", [state for state in S if not state.is_terminal])
def test_every_dispense_that_is_not_over_can_still_be_settled_or_voided(
    state: DispenseState,
) -> None:
    assert {S.SETTLED, S.VOIDED} <= reachable(state)
    assert S.VOIDED in TRANSITIONS[state]


@pytest.mark.parametrize("gate", [S.RESERVED, S.COMMANDED, S.COUNTED, S.VERIFIED])
def test_nothing_is_settled_without_passing_every_gate(gate: DispenseState) -> None:
    assert S.SETTLED not in reachable(S.REQUESTED, without=gate)


def test_a_dispense_in_doubt_is_never_settled_without_a_count_and_a_verification() -> None:
    assert S.SETTLED not in TRANSITIONS[S.IN_DOUBT]
    assert S.VERIFIED not in TRANSITIONS[S.IN_DOUBT]


@given(st.lists(st.sampled_from(S), max_size=40))
def test_no_sequence_of_wishes_leaves_the_table_or_a_final_state(
    wishes: list[DispenseState],
) -> None:
    state = S.REQUESTED
    for wish in wishes:
        try:
            after = advance(state, wish)
        except Conflict:
            assert wish not in TRANSITIONS[state]
        else:
            assert after is wish
            assert not state.is_terminal
            state = after
