"""The agreement rule on lines that flip, stick and burst: no wrong weight, however bad the line."""

import random

import pytest

from drivers import weighing
from drivers.base import DriverError, ProtocolError
from drivers.framing import LineSplitter
from drivers.mtsics.codec import Weight, decode
from simulators.wire import Wire
from tests.contract.scale_suite.memory import MemoryLine, connected_driver, settled


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "READ_PAUSE_S", 0.0)


async def weighings(
    *, rate: float, parity: bool, trials: int, damage: tuple[str, ...] = ()
) -> tuple[int, int]:
    """Weigh random loads over a bad line; return how many gave a weight, how many a wrong one."""
    chance = random.Random(f"{rate} {parity} {damage}")
    given = wrong = 0
    for trial in range(trials):
        grams = f"{chance.randrange(320_000) / 1000:.3f}"
        wire = Wire(seed=trial, parity=parity)
        line = MemoryLine(settled(grams, seed=trial), wire, parity=parity)
        driver = await connected_driver(line)
        wire.set("noise_rate", str(rate))
        wire.faults.switch("noise", on=True)

        def now_and_then(_command: bytes, wire: Wire = wire) -> None:
            for fault in damage:
                if chance.random() < 0.3:
                    wire.faults.switch(fault, on=True, times=1)

        line.before_answer = now_and_then
        try:
            reading = await driver.weigh(timeout_s=10)
        except DriverError:
            continue
        given += 1
        wrong += str(reading.value) != grams
    return given, wrong


@pytest.mark.parametrize("parity", [False, True])
async def test_one_flipped_bit_in_a_thousand_gives_true_weights_only(parity: bool) -> None:  # noqa: FBT001
    given, wrong = await weighings(rate=1e-3, parity=parity, trials=400)
    assert wrong == 0
    assert given >= 390


@pytest.mark.parametrize("parity", [False, True])
async def test_one_flipped_bit_in_a_hundred_gives_no_wrong_weight(parity: bool) -> None:  # noqa: FBT001
    given, wrong = await weighings(rate=1e-2, parity=parity, trials=250)
    assert wrong == 0
    assert given > 0


@pytest.mark.parametrize("damage", [("burst",), ("stuck",), ("burst", "stuck", "drop_last_byte")])
@pytest.mark.parametrize("parity", [False, True])
async def test_bursts_and_stuck_bytes_give_no_wrong_weight(
    damage: tuple[str, ...],
    parity: bool,  # noqa: FBT001
) -> None:
    given, wrong = await weighings(rate=1e-3, parity=parity, trials=150, damage=damage)
    assert wrong == 0
    assert given > 0


def test_a_single_read_over_the_same_line_would_be_wrong_at_times() -> None:
    """The control: without agreement the noise of these tests does get through."""
    model = settled("123.456")
    wire = Wire(seed=1)
    wire.set("noise_rate", "0.01")
    wire.faults.switch("noise", on=True)
    wrong = 0
    for _ in range(5000):
        for piece in wire.to_host(b"S S    123.456 g\r\n"):
            for line in LineSplitter(256).feed(piece.data):
                try:
                    reply = decode(line)
                except ProtocolError:
                    continue
                wrong += isinstance(reply, Weight) and str(reply.value) != "123.456"
    assert model.state()["net_g"] == "123.456"
    assert wrong > 50
