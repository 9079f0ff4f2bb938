"""The simulated counter without a wire: states, faults and what really fell."""

import pytest

from drivers.packml.binary import Descriptor
from drivers.packml.codec import State
from simulators.packml import make
from simulators.packml_model import COMMANDS, CounterModel


def _target(pieces: float) -> tuple[Descriptor, ...]:
    return (Descriptor(1, "TargetCount", 0, "", pieces),)


def _idle(model: CounterModel) -> None:
    assert model.command("Reset")
    model.step(1.0)
    assert model.current is State.IDLE


def _ran(model: CounterModel, pieces: int = 30, seconds: float = 60.0) -> CounterModel:
    _idle(model)
    assert model.command("Start", _target(pieces))
    model.step(seconds)
    return model


def test_a_job_drops_as_many_pieces_as_asked() -> None:
    model = _ran(CounterModel(1))
    assert model.current is State.COMPLETE
    assert model.state()["physically_dispensed"] == 30
    assert (model.processed.count, model.processed.acc) == (30, 30)


def test_reset_clears_count_and_keeps_acc_count() -> None:
    model = _ran(_ran(CounterModel(1)))
    assert (model.processed.count, model.processed.acc) == (30, 60)
    model.set("count_per_job", "0")
    _ran(model)
    assert (model.processed.count, model.processed.acc) == (60, 90)


def test_the_size_of_the_steps_changes_nothing() -> None:
    models = [CounterModel(5) for _ in range(2)]
    for model, dt in zip(models, (7.0, 0.01), strict=True):
        model.set("defective_rate", "0.1")
        model.faults.switch("jam", on=True, times=1)
        _idle(model)
        model.command("Start", _target(50))
        for _ in range(round(7.0 / dt)):
            model.step(dt)
    assert models[0].state() == models[1].state()


@pytest.mark.parametrize(
    ("fault", "state"),
    [("jam", State.HELD), ("short_count", State.SUSPENDED), ("abort", State.ABORTED)],
)
def test_a_fault_stops_a_job_somewhere(fault: str, state: State) -> None:
    model = CounterModel(2)
    model.faults.switch(fault, on=True, times=1)
    _ran(model)
    assert model.current is state
    assert 0 <= model.processed.acc < 30
    assert not model.busy


@pytest.mark.parametrize(("fault", "help_"), [("jam", "Unhold"), ("short_count", "Unsuspend")])
def test_a_job_goes_on_after_help(fault: str, help_: str) -> None:
    model = CounterModel(2)
    model.faults.switch(fault, on=True, times=1)
    _ran(model)
    assert model.command(help_)
    model.step(60.0)
    assert model.current.name == "COMPLETE"
    assert not model.starved


def test_a_miscount_reports_a_piece_that_never_fell() -> None:
    model = CounterModel(3)
    model.faults.switch("miscount", on=True, times=1)
    _ran(model)
    assert model.processed.acc == 30
    assert model.state()["physically_dispensed"] == 29


def test_an_empty_hopper_starves_the_machine() -> None:
    model = CounterModel(3)
    model.set("hopper", "10")
    _ran(model)
    assert model.state()["starved"] is True
    assert model.state()["physically_dispensed"] == 10
    model.set("hopper", "100")
    assert model.state()["starved"] is False
    assert model.command("Unsuspend")
    model.step(60.0)
    assert model.current is State.COMPLETE


def test_a_slow_feed_takes_ten_times_as_long() -> None:
    model = CounterModel(3)
    model.faults.switch("slow_feed", on=True)
    assert _ran(model, seconds=10.0).current is State.EXECUTE


def test_only_a_whole_target_is_started() -> None:
    model = CounterModel(1)
    _idle(model)
    assert not model.command("Start")
    assert not model.command("Start", _target(0))
    assert not model.command("Start", _target(2.5))
    assert not model.command("Start", (*_target(3), *_target(4)))


def test_a_machine_may_accept_and_not_start() -> None:
    model = CounterModel(1)
    model.faults.switch("no_start", on=True, times=1)
    _ran(model)
    assert model.current is State.IDLE


def test_commands_are_refused_in_the_wrong_state() -> None:
    model = CounterModel(1)
    assert [
        name for name in COMMANDS if name not in ("Reset", "Abort") and model.command(name)
    ] == []


def test_settings_are_checked() -> None:
    model = make(1)
    for name, value in (
        ("hopper", "-2"),
        ("hopper", "many"),
        ("defective_rate", "1"),
        ("rate_per_s", "0"),
        ("operator", "Dance"),
        ("operator", "Start"),
        ("panel", "5"),
        ("colour", "red"),
    ):
        with pytest.raises(ValueError, match=r"."):
            model.set(name, value)
    assert model.state()["faults"] == {}
    assert set(model.settings) >= {"hopper", "operator", "panel"}


def test_the_panel_can_start_a_job_of_its_own() -> None:
    model = CounterModel(1)
    model.set("operator", "Reset")
    model.step(1.0)
    model.set("panel", "5")
    model.step(10.0)
    assert model.state()["physically_dispensed"] == 5
    assert model.state()["job"] == ["TargetCount"]
