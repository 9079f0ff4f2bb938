"""The simulated counting scale without a wire: what is shown, and when a method is refused."""

from decimal import Decimal

import pytest

from simulators.opcua40200 import make
from simulators.opcua40200_model import ScaleModel


def loaded(grams: str, seconds: float = 10.0) -> ScaleModel:
    model = ScaleModel(1)
    model.set("noise_d", "0")
    model.set("load_g", grams)
    model.step(seconds)
    return model


def test_a_scale_stands_with_a_bottle_on_it() -> None:
    model = make(3)
    model.step(20.0)
    assert model.state()["net_g"] == "12.500"
    assert model.state()["pieces"] == 50


def test_tare_and_zero_change_what_is_shown() -> None:
    model = loaded("50")
    assert model.take_tare()
    assert [model.gross, model.net, model.tare] == [Decimal(50), Decimal(0), Decimal(50)]
    assert model.preset_tare(20.0)
    assert model.net == 30
    assert not model.zero(), "50 g is outside of the zero range"
    model.set("load_g", "2")
    model.step(10.0)
    assert model.zero()
    assert [model.gross, model.tare] == [Decimal(0), Decimal(0)]


def test_a_scale_that_moves_or_is_over_or_under_refuses() -> None:
    moving = loaded("50", seconds=0.15)
    assert not moving.stable
    assert not moving.take_tare()
    over, under = loaded("330"), loaded("-10")
    assert (over.over, over.take_tare()) == (True, False)
    assert (under.under, under.take_tare()) == (True, False)
    assert not loaded("-1").take_tare(), "there is nothing to tare"
    assert not loaded("1").preset_tare(-1.0)


def test_a_reference_is_worked_out_from_the_load() -> None:
    model = loaded("12.5")
    assert model.start_reference(25)
    assert model.pieces == 25
    assert model.refer(Decimal("0.125"))
    assert model.pieces == 100
    for refused in (model.start_reference(0), model.refer(Decimal(0)), model.refer_pieces(0)):
        assert not refused


@pytest.mark.parametrize(
    ("name", "value"),
    [("piece_g", "0"), ("piece_g", "NaN"), ("load_g", "inf"), ("tau_s", "0"), ("colour", "red")],
)
def test_a_setting_that_cannot_be_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        ScaleModel(1).set(name, value)
