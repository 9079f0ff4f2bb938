"""The life of a dispense."""

import pytest

from dispensed.errors import Invalid
from dispensed.model.dispensing import (
    AlreadySettled,
    CountDiffers,
    DispenseState,
    IllegalTransition,
    advance,
    check_count,
    check_opaque,
)

S = DispenseState
ALLOWED = {
    (S.REQUESTED, S.RESERVED),
    (S.REQUESTED, S.VOIDED),
    (S.RESERVED, S.COMMANDED),
    (S.RESERVED, S.REQUESTED),
    (S.RESERVED, S.VOIDED),
    (S.COMMANDED, S.COUNTED),
    (S.COMMANDED, S.REQUESTED),
    (S.COMMANDED, S.IN_DOUBT),
    (S.COMMANDED, S.VOIDED),
    (S.COUNTED, S.VERIFIED),
    (S.COUNTED, S.COMMANDED),
    (S.COUNTED, S.VOIDED),
    (S.VERIFIED, S.SETTLED),
    (S.VERIFIED, S.VOIDED),
    (S.IN_DOUBT, S.COUNTED),
    (S.IN_DOUBT, S.REQUESTED),
    (S.IN_DOUBT, S.VOIDED),
}
PAIRS = [(state, to) for state in S for to in S]


@pytest.mark.parametrize(("state", "to"), PAIRS)
def test_a_dispense_takes_the_listed_steps_and_no_other(
    state: DispenseState, to: DispenseState
) -> None:
    if (state, to) in ALLOWED:
        assert advance(state, to) is to
    elif state in {S.SETTLED, S.VOIDED}:
        with pytest.raises(AlreadySettled, match=f"is {state}, it cannot become {to}"):
            advance(state, to)
    else:
        with pytest.raises(IllegalTransition, match=f"is {state} cannot become {to}"):
            advance(state, to)


def test_settled_and_voided_are_final() -> None:
    assert {state for state in S if state.is_terminal} == {S.SETTLED, S.VOIDED}


def test_a_count_of_the_ordered_item_and_quantity_is_accepted() -> None:
    check_count(
        ordered_item="00071101468",
        ordered_milli=30_000,
        counted_item="00071101468",
        counted_milli=30_000,
    )


@pytest.mark.parametrize("counted", [0, 29_000, 30_001, 31_000])
def test_a_count_of_another_quantity_is_refused(counted: int) -> None:
    with pytest.raises(CountDiffers, match="counted, 30 ordered"):
        check_count(ordered_item="a", ordered_milli=30_000, counted_item="a", counted_milli=counted)


def test_a_count_of_another_item_is_refused() -> None:
    with pytest.raises(CountDiffers, match="item b was counted, a is ordered"):
        check_count(ordered_item="a", ordered_milli=1, counted_item="b", counted_milli=1)


def test_18_a_key_that_could_be_a_name_is_refused() -> None:
    for key in ("p-7", "A.1:b_2", "x" * 64):
        check_opaque("patient_key", key)
    for key in ("", "Jane Roe", "Müller", "Roe,Jane", " x", "x" * 65, "p\n"):
        with pytest.raises(Invalid, match=r"patient_key .* an opaque key, never a name"):
            check_opaque("patient_key", key)
