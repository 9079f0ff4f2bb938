"""The agreement rule on lines that flip, stick and burst: no wrong weight, however bad the line."""

import random

import pytest

from drivers import weighing
from drivers.errors import DriverError, ProtocolError
from drivers.framing import LineSplitter
from drivers.mtsics.codec import Weight, decode
from simulators.wire import Wire
from tests.contract.scale_suite.benches import DIALECTS, Carrier
from tests.contract.scale_suite.memory import connected_scale, settled

SCALES = [Carrier.TCP, *DIALECTS]
"""MT-SICS and every dialect."""
TRIALS = 100
LOAD_MAX = 99_000
"""Milligrams that every one of them can show."""


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "READ_PAUSE_S", 0.0)


async def weighings(
    carrier: Carrier, *, rate: float, parity: bool, trials: int, damage: tuple[str, ...] = ()
) -> tuple[int, int]:
    """Weigh random loads over a bad line; return how many gave a weight, how many a wrong one."""
    chance = random.Random(f"{carrier} {rate} {parity} {damage}")
    given = wrong = 0
    for trial in range(trials):
        load = f"{chance.randrange(LOAD_MAX) / 1000:.3f}"
        wire = Wire(seed=trial, parity=parity)
        scale, line = await connected_scale(carrier, load, wire, parity=parity, seed=trial)
        wire.set("noise_rate", str(rate))
        wire.faults.switch("noise", on=True)

        def now_and_then(_command: bytes, wire: Wire = wire) -> None:
            for fault in damage:
                if chance.random() < 0.3:
                    wire.faults.switch(fault, on=True, times=1)

        line.before_answer = now_and_then
        try:
            reading = await scale.weigh(timeout_s=10)
        except DriverError:
            continue
        given += 1
        wrong += str(reading.value) != load
    return given, wrong


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("carrier", SCALES)
async def test_one_flipped_bit_in_a_thousand_gives_true_weights_only(
    carrier: Carrier,
    parity: bool,  # noqa: FBT001
) -> None:
    given, wrong = await weighings(carrier, rate=1e-3, parity=parity, trials=TRIALS)
    assert wrong == 0
    assert given >= 0.95 * TRIALS


@pytest.mark.parametrize("rate", [1e-4, 1e-2])
@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("carrier", SCALES)
async def test_fewer_and_more_flipped_bits_give_no_wrong_weight(
    carrier: Carrier,
    parity: bool,  # noqa: FBT001
    rate: float,
) -> None:
    given, wrong = await weighings(carrier, rate=rate, parity=parity, trials=TRIALS // 2)
    assert wrong == 0
    assert given > 0


@pytest.mark.parametrize("damage", [("burst",), ("stuck",), ("burst", "stuck", "drop_last_byte")])
@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("carrier", SCALES)
async def test_bursts_and_stuck_bytes_give_no_wrong_weight(
    carrier: Carrier,
    damage: tuple[str, ...],
    parity: bool,  # noqa: FBT001
) -> None:
    given, wrong = await weighings(
        carrier, rate=1e-3, parity=parity, trials=TRIALS // 2, damage=damage
    )
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
