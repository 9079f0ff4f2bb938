"""The person who pours: what they are told, and what lies on the scale then."""

import pytest

from simulators.weighcount import make


def test_the_person_pours_in_handfuls_and_every_piece_has_its_own_weight() -> None:
    model = make(1)
    model.set("pour", "30")
    seen = []
    for _ in range(1000):
        model.step(0.02)
        seen.append(model.pieces)
    assert seen[-1] == 30
    assert len(set(seen)) > 3
    state = model.state()
    assert (state["pieces"], state["to_pour"], state["stable"]) == (30, 0, True)
    assert 14.8 < float(str(state["net_g"])) < 15.2
    assert state["net_g"] == f"{state['load_g']:.3f}"
    model.set("take", "31")
    assert model.pieces == 0


def test_what_is_set_is_checked_and_reaches_the_balance() -> None:
    model = make(1)
    model.set("mean_mg", "100")
    model.set("sd_mg", "0")
    model.set("pace_s", "0")
    model.set("pour", "5")
    model.step(0.02)
    model.set("clear", "1")
    assert model.state()["to_pour"] == 0
    model.set("load_g", "2.5")
    assert model.state()["load_g"] == 2.5
    assert {"pour", "mean_mg", "load_g"} <= set(model.settings)
    for name, value in (("pour", "-1"), ("pour", "x"), ("mean_mg", "-1"), ("speed", "1")):
        with pytest.raises(ValueError, match=name):
            model.set(name, value)
