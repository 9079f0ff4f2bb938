"""The contract of a cabinet: what is reported is what physically left, or the error is honest."""

import asyncio
import json
from datetime import date

import pytest

from drivers.base import (
    InputAsked,
    InputDecision,
    PickLine,
    PickOrder,
    TaskState,
)
from drivers.errors import (
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    DriverError,
    Moved,
    ProtocolError,
    Unsupported,
)
from drivers.facts import OutputReported, OutputStatus, Pack
from drivers.transport import LinkLost
from drivers.wwks2 import messages as wire
from tests.contract.cabinet_bench import Bench, bench, order

LINES = ["clean", "one byte", "37 bytes", "joined", "delayed"]
EARLY, LATE = date(2027, 1, 31), date(2028, 6, 30)


def heard(here: Bench, kind: type[wire.Addressed]) -> list[str]:
    return [message.id for message in here.model.heard if isinstance(message, kind)]


# ---------------------------------------------------------------- every line


@pytest.mark.parametrize("line", LINES)
async def test_an_order_is_output_and_its_packs_are_reported(line: str) -> None:
    async with bench(line) as here:
        report = await here.deliver(order("1004", 2, "EARLY"))

        assert report.state is TaskState.COMPLETED
        assert report.packs == (
            Pack("5001", "00071015523", "EARLY", EARLY),
            Pack("5002", "00071015523", "EARLY", EARLY),
        )
        assert here.left() == {"5001": "1004", "5002": "1004"}
        assert set(here.reported()) == {"5001", "5002"}


@pytest.mark.parametrize("line", LINES)
async def test_an_inventory_lists_every_pack(line: str) -> None:
    async with bench(line) as here:
        packs = (await here.driver.inventory()).packs

        assert len(packs) == 34
        assert packs[4] == Pack("5005", "00071015523", "LATE", LATE)
        assert packs[33] == Pack("5034", "00093505698", "B7", date(2027, 9, 30), 12)


async def test_an_inventory_of_thousands_of_packs_is_read_whole() -> None:
    async with bench() as here:
        here.model.set("stock", json.dumps([{"article": "A5", "batch": "B", "packs": 4000}]))
        packs = (await here.driver.inventory()).packs

        assert len({pack.pack_id for pack in packs}) == 4034


@pytest.mark.parametrize("line", LINES)
async def test_many_orders_at_once_all_end_with_their_own_packs(line: str) -> None:
    async with bench(line) as here:
        reports = await asyncio.gather(*(here.deliver(order(str(n))) for n in range(1, 11)))

        for report in reports:
            assert report.state is TaskState.COMPLETED
            assert {pack.pack_id for pack in report.packs} == here.packs_of(report.order_id)
        assert set(here.reported()) == set(here.left())
        assert len(here.left()) == 10


@pytest.mark.parametrize("line", LINES)
async def test_an_output_that_nobody_ordered_is_reported(line: str) -> None:
    async with bench(line) as here:
        here.model.set("manual_output", json.dumps({"article": "00071015523", "packs": 1}))
        await here.until(lambda: bool(here.reported()))

        assert here.reported() == {"5001": ("manual", Pack("5001", "00071015523", "EARLY", EARLY))}


@pytest.mark.parametrize("line", LINES)
async def test_an_input_is_answered_and_what_was_stored_is_reported(line: str) -> None:
    async with bench(line) as here:
        asked: list[InputAsked] = []

        async def allow(question: InputAsked) -> InputDecision:
            asked.append(question)
            return InputDecision(allowed=True, article="00093505698", name="Name", pack_units=90)

        here.driver.on_input(allow)
        scan = "0100300935056982\x1d10L9"
        here.model.set(
            "input",
            json.dumps({"scan_code": scan, "batch": "L9", "expiry": "2028-01-31", "units": 5}),
        )
        await here.until(lambda: bool(here.inputs()))

        assert asked == [InputAsked(scan, "", "L9", date(2028, 1, 31), 5)]
        stored = Pack("5035", "00093505698", "L9", date(2028, 1, 31), 5, scan)
        assert here.inputs() == [stored]
        assert here.model.robot.packs[5035].batch == "L9"


# ---------------------------------------------------------------- what the machine refuses


@pytest.mark.parametrize("fault", ["reject", "not_ready", "door_open", "too_many"])
async def test_a_refused_order_moves_nothing_and_may_be_sent_again(fault: str) -> None:
    async with bench(options={"keepalive_interval_s": 60}) as here:
        await here.until(lambda: here.driver.status is not None)
        here.model.faults.switch(fault, on=True)
        with pytest.raises(DeviceRefused) as refused:
            await here.deliver(order("7"))
        assert refused.value.moved is Moved.NO
        assert refused.value.reason == ("TooManyRequests" if fault == "too_many" else "Rejected")
        assert here.left() == {}

        here.model.faults.switch(fault, on=False)
        assert (await here.deliver(order("7"))).state is TaskState.COMPLETED
        assert len(here.left()) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        PickOrder("5", ()),
        PickOrder("5", (PickLine("A", "L", 0),)),
        PickOrder("5", (PickLine("A", "L", 1),), destination="window"),
        PickOrder("5", (PickLine("A", "L", 1),), destination="1234567890"),
        PickOrder("", (PickLine("A", "L", 1),)),
        PickOrder("manual", (PickLine("A", "L", 1),)),
        PickOrder("0001", (PickLine("A", "L", 1),)),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused_before_it_is_sent(wrong: PickOrder) -> None:
    async with bench() as here:
        with pytest.raises(DeviceRefused) as refused:
            await here.deliver(wrong)

        assert refused.value.moved is Moved.NO
        assert heard(here, wire.OutputRequest) == []


async def test_order_one_is_told_apart_from_a_manual_output() -> None:
    async with bench(output_s=0.1) as here:
        running = asyncio.create_task(here.deliver(order("1", 1, "LATE")))
        await here.until(lambda: heard(here, wire.OutputRequest) == ["0001"])
        here.model.set("manual_output", json.dumps({"article": "00093505698"}))
        report = await running
        await here.until(lambda: len(here.reported()) == 2)

        assert report.order_id == "1"
        assert [pack.lot for pack in report.packs] == ["LATE"]
        assert sorted(owner for owner, _ in here.reported().values()) == ["1", "manual"]


async def test_the_destination_of_an_order_is_sent() -> None:
    async with bench() as here:
        await here.deliver(PickOrder("8", (PickLine("00071015523", "LATE", 1),), destination="3"))

        sent = [each for each in here.model.heard if isinstance(each, wire.OutputRequest)]
        assert sent[0].details == wire.OutputDetails("Normal", 3)
        assert sent[0].criteria == (wire.Criteria("00071015523", 1, batch="LATE"),)


# ---------------------------------------------------------------- what goes wrong while acting


async def test_more_than_there_is_ends_incomplete_with_what_left() -> None:
    async with bench() as here:
        report = await here.deliver(order("9", 6, "EARLY"))

        assert report.state is TaskState.INCOMPLETE
        assert len(report.packs) == 4


async def test_nothing_there_ends_incomplete_without_packs() -> None:
    async with bench() as here:
        report = await here.deliver(order("9", 1, "NO SUCH LOT"))

        assert (report.state, report.packs) == (TaskState.INCOMPLETE, ())
        assert OutputReported("9", OutputStatus.INCOMPLETE, ()) in here.facts()


async def test_a_jam_reports_exactly_the_packs_that_came_out() -> None:
    async with bench() as here:
        here.model.faults.switch("jam", on=True, times=1)
        report = await here.deliver(order("9", 5))

        assert report.state is TaskState.INCOMPLETE
        assert {pack.pack_id for pack in report.packs} == set(here.left()) == {"5005", "5006"}


async def test_a_released_box_does_not_end_the_order_and_counts_no_pack_twice() -> None:
    async with bench() as here:
        here.model.faults.switch("box_released", on=True, times=1)
        report = await here.deliver(order("9", 3))

        statuses = [fact.status for fact in here.facts() if isinstance(fact, OutputReported)]
        assert statuses == [OutputStatus.BOX_RELEASED, OutputStatus.COMPLETED]
        assert [pack.pack_id for pack in report.packs] == ["5005", "5006", "5007"]


async def test_a_message_that_never_comes_is_an_unknown_outcome_and_can_be_asked_for() -> None:
    async with bench() as here:
        here.model.faults.switch("lost_message", on=True, times=1)
        with pytest.raises(DeviceTimeout) as late:
            await here.deliver(order("9", 2), timeout_s=0.2)
        assert late.value.moved is Moved.UNKNOWN
        assert here.reported() == {}

        report = await here.driver.reconcile("9")
        assert report.state is TaskState.COMPLETED
        assert set(here.reported()) == set(here.left()) == {"5005", "5006"}
        assert await here.deliver(order("9", 2)) == report
        assert heard(here, wire.OutputRequest) == ["9"]


async def test_a_message_that_contradicts_itself_is_kept_and_the_outcome_is_unknown() -> None:
    async with bench() as here:
        here.model.faults.switch("damaged_message", on=True, times=1)
        with pytest.raises(DriverError) as unknown:
            await here.deliver(order("9", 2), timeout_s=0.2)
        assert unknown.value.moved is Moved.UNKNOWN
        assert "OutputMessage" in here.kinds()
        assert here.reported() == {}

        assert (await here.settle("9")).state is TaskState.COMPLETED
        assert set(here.reported()) == set(here.left())


async def test_an_order_cancelled_in_time_ends_aborted() -> None:
    async with bench(output_s=30) as here:
        running = asyncio.create_task(here.deliver(order("9", 2), timeout_s=9))
        await here.until(lambda: here.model.robot.waiting == 1)

        assert await here.driver.cancel("9")
        assert (await running).state is TaskState.ABORTED
        assert here.left() == {}
        assert not await here.driver.cancel("9")
        assert not await here.driver.cancel("unheard of")


@pytest.mark.parametrize("dialect", ["classic", "modern"])
async def test_either_dialect_of_asking_and_cancelling_is_understood(dialect: str) -> None:
    async with bench(output_s=30) as here:
        here.model.set("dialect", dialect)  # not what it announced
        running = asyncio.create_task(here.deliver(order("9", 2), timeout_s=9))
        await here.until(lambda: here.model.robot.waiting == 1)

        assert (await here.driver.reconcile("9")).state is TaskState.RUNNING
        assert await here.driver.cancel("9")
        assert (await running).state is TaskState.ABORTED


async def test_a_machine_that_cannot_be_asked_leaves_the_outcome_unknown() -> None:
    async with bench() as here:
        here.model.set("dialect", "none")
        with pytest.raises(Unsupported) as unknown:
            await here.driver.reconcile("9")

        assert unknown.value.moved is Moved.UNKNOWN
        with pytest.raises(Unsupported):
            await here.driver.cancel("9")


async def test_an_order_the_machine_does_not_know_is_reported_as_unknown() -> None:
    async with bench() as here:
        report = await here.driver.reconcile("77")

        assert (report.order_id, report.state, report.packs) == ("77", TaskState.UNKNOWN, ())


# ---------------------------------------------------------------- once, and only once


async def test_the_same_order_again_is_not_output_again() -> None:
    async with bench() as here:
        first = await here.deliver(order("9", 2))
        again = await asyncio.gather(*(here.deliver(order("9", 2)) for _ in range(5)))

        assert again == [first] * 5
        assert heard(here, wire.OutputRequest) == ["9"]
        assert len(here.left()) == 2


async def test_the_same_order_twice_at_once_is_output_once() -> None:
    async with bench(output_s=0.1) as here:
        one, two = await asyncio.gather(here.deliver(order("9")), here.deliver(order("9")))

        assert one == two
        assert len(here.left()) == 1


async def test_another_order_under_a_known_id_is_refused() -> None:
    async with bench() as here:
        await here.deliver(order("9", 2))
        with pytest.raises(DeviceRefused, match="other lines"):
            await here.deliver(order("9", 3))


async def test_another_order_under_an_open_id_is_refused() -> None:
    async with bench(output_s=30) as here:
        running = asyncio.create_task(here.deliver(order("9", 2), timeout_s=9))
        await here.until(lambda: here.model.robot.waiting == 1)
        with pytest.raises(DeviceRefused, match="other lines"):
            await here.deliver(order("9", 3))
        await here.driver.cancel("9")
        await running


async def test_one_order_too_many_is_refused() -> None:
    async with bench(output_s=30, options={"orders_max": 1}) as here:
        running = asyncio.create_task(here.deliver(order("9"), timeout_s=9))
        await here.until(lambda: here.model.robot.waiting == 1)
        with pytest.raises(DeviceRefused, match="1 orders are open"):
            await here.deliver(order("10"))
        await here.driver.cancel("9")
        await running


# ---------------------------------------------------------------- the line


async def test_a_line_cut_during_an_output_is_an_unknown_outcome_that_is_asked_for_first() -> None:
    async with bench() as here:
        here.model.faults.switch("cut_output", on=True, times=1)
        with pytest.raises(LinkLost) as lost:
            await here.deliver(order("9", 2))
        assert lost.value.moved is Moved.UNKNOWN
        assert len(here.left()) == 2

        follow = await here.deliver(order("10"))

        assert follow.state is TaskState.COMPLETED
        assert set(here.reported()) == set(here.left())
        assert len(here.left()) == 3
        asked = [
            (type(message).__name__, message.tasks[0].id)
            if isinstance(message, wire.TaskMessage)
            else (type(message).__name__, message.id)
            for message in here.model.heard
            if isinstance(message, wire.TaskInfoRequest | wire.OutputRequest)
        ]
        assert asked == [("OutputRequest", "9"), ("TaskInfoRequest", "9"), ("OutputRequest", "10")]
        assert (await here.deliver(order("9", 2))).state is TaskState.COMPLETED  # not sent again
        assert heard(here, wire.OutputRequest) == ["9", "10"]


async def test_an_order_that_runs_on_while_the_line_is_cut_ends_after_the_reconnect() -> None:
    async with bench(output_s=0.4) as here:
        here.wire.set("cut_s", "0.05")
        running = asyncio.create_task(here.deliver(order("9", 2)))
        await here.until(lambda: here.model.robot.waiting == 1)
        here.wire.faults.switch("cut", on=True, times=1)
        with pytest.raises(LinkLost) as lost:
            await running
        assert lost.value.moved is Moved.UNKNOWN

        report = await here.deliver(order("9", 2))  # waits for its end, is not sent again

        assert report.state is TaskState.COMPLETED
        assert heard(here, wire.OutputRequest) == ["9"]
        assert set(here.reported()) == set(here.left()) == {"5005", "5006"}


async def test_an_order_the_machine_never_got_may_be_sent_again() -> None:
    async with bench(options={"request_timeout_s": 0.2}) as here:
        here.wire.faults.switch("deaf", on=True)
        with pytest.raises(DriverError) as unknown:
            await here.deliver(order("9"))
        assert unknown.value.moved is Moved.UNKNOWN
        here.wire.faults.switch("deaf", on=False)

        assert (await here.settle("9")).state is TaskState.UNKNOWN
        assert (await here.deliver(order("9"))).state is TaskState.COMPLETED
        assert len(here.left()) == 1


@pytest.mark.parametrize("times", [1, 3])
async def test_a_line_cut_in_the_middle_of_a_message_recovers_without_a_restart(times: int) -> None:
    async with bench() as here:
        here.wire.faults.switch("cut_mid_frame", on=True, times=times)
        ids = [str(number) for number in range(2, 8)]
        for order_id in ids:
            try:
                await here.deliver(order(order_id))
            except DriverError:
                await here.settle(order_id)

        assert set(here.reported()) == set(here.left())
        assert {owner for owner, _ in here.reported().values()} <= set(ids)
        assert here.connections > 1


async def test_a_machine_that_falls_silent_is_lost_and_comes_back() -> None:
    options = {"request_timeout_s": 0.1, "keepalive_interval_s": 0.05, "hello_timeout_s": 0.2}
    async with bench(options=dict(options)) as here:
        here.wire.faults.switch("silence", on=True)
        await here.until(lambda: bool(here.lost))
        assert isinstance(here.lost[0], DeviceTimeout)
        here.wire.faults.switch("silence", on=False)

        assert (await here.deliver(order("9"))).state is TaskState.COMPLETED


async def test_a_machine_that_is_not_there_is_unavailable_with_nothing_sent() -> None:
    async with bench() as here:
        here.wire.faults.switch("cut", on=True)
        await here.until(lambda: len(here.lost) > 2)

        with pytest.raises(DeviceUnavailable) as gone:
            await here.driver.deliver(order("9"), timeout_s=1)
        assert gone.value.moved is Moved.NO
        with pytest.raises(DeviceUnavailable):
            await here.driver.inventory()
        assert here.left() == {}


@pytest.mark.parametrize("fault", ["garbage", "burst", "drop_last_byte", "duplicate", "stale"])
async def test_garbage_on_the_line_is_kept_and_never_becomes_a_pack(fault: str) -> None:
    async with bench(options={"request_timeout_s": 0.3, "hello_timeout_s": 0.3}) as here:
        here.wire.faults.switch(fault, on=True, times=8)
        for number in range(2, 8):
            try:
                await here.deliver(order(str(number)), timeout_s=1)
            except DriverError:
                await here.settle(str(number))

        assert set(here.reported()) <= set(here.left())
        for order_id in ("2", "3", "4", "5", "6", "7"):
            await here.settle(order_id)
        assert set(here.reported()) == set(here.left())


async def test_a_message_longer_than_the_limit_ends_the_connection() -> None:
    async with bench(options={"message_max_bytes": 1024}) as here:
        with pytest.raises(LinkLost, match="longer than the limit"):
            await here.driver.inventory()
        await here.until(lambda: bool(here.lost))
        assert isinstance(here.lost[0], ProtocolError)
        (kept,) = here.inbox.messages.values()
        assert (kept.kind, len(kept.raw)) == ("garbage", 1024)
