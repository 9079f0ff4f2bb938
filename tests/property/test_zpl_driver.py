"""Whatever happens to printer and line between labels: no receipt claims more than happened."""

import asyncio
import contextlib
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.base import (
    DeviceSpec,
    Label,
    PrintProof,
    RawMessage,
)
from drivers.errors import DriverError, Moved
from drivers.zpl.driver import ZplDriver
from simulators.serve import serve_tcp
from simulators.wire import Wire
from simulators.zpl import ZplModel

OPTIONS = {
    "reply_timeout_s": 0.06,
    "print_timeout_s": 0.2,
    "print_poll_s": 0.005,
    "take_timeout_s": 0.05,
}
MODEL_EVENTS = ("paper_out_mid_label", "partial_format", "label_lost")
MODEL_STATES = ("ribbon_out", "paused", "silent_when_faulted", "odometer_mute")
WIRE_EVENTS = ("cut", "cut_mid_frame", "silence", "stale", "duplicate", "garbage", "slow", "deaf")
actions = st.lists(
    st.one_of(
        st.tuples(st.just("print"), st.sampled_from("abcd")),
        st.tuples(st.just("fault"), st.sampled_from(MODEL_EVENTS)),
        st.tuples(st.just("switch"), st.sampled_from(MODEL_STATES)),
        st.tuples(st.just("wire"), st.sampled_from(WIRE_EVENTS)),
        st.tuples(st.just("set"), st.sampled_from(["paper", "peel", "take", "queue"])),
    ),
    min_size=1,
    max_size=14,
)


async def swallow(message: RawMessage) -> None:
    assert message.kind == "garbage"


def label(request_id: str) -> Label:
    return Label("T", (f"request {request_id}.",), (("01", "00300710155237"),))


class Day:
    """What the driver claimed, beside what the simulator did."""

    def __init__(self, model: ZplModel, wire: Wire, driver: ZplDriver) -> None:
        self.model = model
        self.wire = wire
        self.driver = driver
        self.claims: dict[str, PrintProof] = {}
        self.sent: set[str] = set()

    def came_out(self) -> Counter[str]:
        return Counter(
            name for text in self.model.printed for name in "abcdz" if f"request {name}." in text
        )

    async def do(self, verb: str, name: str) -> None:
        match verb:
            case "print":
                await self.print(name)
            case "fault":
                self.model.faults.switch(name, on=True, times=1)
            case "switch":
                on = not self.model.faults.active(name)
                self.model.faults.switch(name, on=on)
            case "wire":
                self.wire.faults.switch(name, on=True, times=1)
            case _:
                self.model.set(name, "1")

    async def print(self, name: str) -> None:
        try:
            receipt = await self.driver.print(label(name), request_id=name)
        except DriverError as error:
            if error.moved is not Moved.NO:
                self.sent.add(name)
            elif name not in self.sent:
                assert self.came_out()[name] == 0
            await self.driver.close()
            with contextlib.suppress(DriverError):
                await self.driver.connect()
        else:
            self.sent.add(name)
            self.claims[name] = receipt.proof
            if receipt.proof is not PrintProof.ACCEPTED:
                assert self.came_out()[name] == 1

    async def finish(self) -> None:
        """Mend everything: the same driver works again, and nothing came out twice."""
        for name in (*MODEL_EVENTS, *MODEL_STATES):
            self.model.faults.switch(name, on=False)
        for name in WIRE_EVENTS:
            self.wire.faults.switch(name, on=False)
        self.model.set("peel", "0")
        self.model.set("take", "1")
        self.model.set("paper", "100")
        for _ in range(100):
            await self.driver.close()
            with contextlib.suppress(DriverError):
                await self.driver.connect()
                receipt = await self.driver.print(label("z"), request_id="z")
                assert receipt.proof is PrintProof.PRINTED
                break
            await asyncio.sleep(0.005)  # as the supervisor waits; a cut line needs 10 ms
        came_out = self.came_out()
        assert came_out["z"] == 1
        assert all(count == 1 for count in came_out.values())
        assert set(came_out) - {"z"} <= self.sent


async def play(plan: list[tuple[str, str]]) -> None:
    model = ZplModel(print_s=0.3, paper=20)
    async with serve_tcp(model, wire=Wire(seed=1, speed=50)) as served:
        served.wire.set("cut_s", "0.01")
        driver = ZplDriver(DeviceSpec("label", served.address, OPTIONS), swallow)
        await driver.connect()
        day = Day(model, served.wire, driver)
        try:
            for verb, name in plan:
                await day.do(verb, name)
            await day.finish()
        finally:
            await driver.close()
        served.check()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions)
def test_no_receipt_claims_more_than_happened_and_no_request_prints_twice(
    plan: list[tuple[str, str]],
) -> None:
    asyncio.run(play(plan))
