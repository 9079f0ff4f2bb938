"""What WWKS2 has beyond a cabinet, against a scripted machine: refusals, silence, losses."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from drivers.errors import (
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    DriverError,
    Moved,
    ProtocolError,
    Unsupported,
)
from drivers.facts import Pack
from drivers.transport import LinkLost
from drivers.wwks2 import messages as wire
from drivers.wwks2.driver import Wwks2Driver
from drivers.wwks2.intakes import INTAKES_MAX
from drivers.wwks2.wanted import Intake, IntakeEnd, Output, Refused
from tests.unit.wwks2_bench import SUBSCRIBER, Peer, Stand, a_stand

INTAKE = Intake((wire.PackData(scan_code="0107"),), source=3)
Call = Callable[[Wwks2Driver], Awaitable[object]]


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    async with a_stand() as here:
        yield here


async def limited(stand: Stand, *capabilities: str) -> Wwks2Driver:
    """A driver whose machine announces only some abilities."""
    driver = stand.driver()
    connecting = asyncio.ensure_future(driver.connect())
    peer = await stand.peer()
    hello = await peer.hear()
    peer.say(wire.HelloResponse(hello.id, replace(SUBSCRIBER, capabilities=capabilities)))
    await connecting
    stand.watching = asyncio.ensure_future(driver.watch())
    return driver


def ended(message_id: str, *packs: wire.PackData, status: str) -> wire.InitiateInputMessage:
    return wire.InitiateInputMessage(
        message_id,
        999,
        100,
        articles=(wire.Article("A1", packs=packs),),
        details=wire.InputDetails(3, 1, status),
    )


def accepted(message_id: str, status: str = "Accepted") -> wire.InitiateInputResponse:
    return wire.InitiateInputResponse(message_id, 999, 100, details=wire.InputDetails(3, 1, status))


CALLS: dict[str, Call] = {
    "InitiateInput": lambda driver: driver.start_input(INTAKE, timeout_s=1),
    "ArticleMaster": lambda driver: driver.set_articles([]),
    "StockDelivery": lambda driver: driver.add_deliveries(
        [wire.Delivery("D1", (wire.Article("A1"),))]
    ),
    "StockInfo": lambda driver: driver.stock(),
    "StockLocationInfo": lambda driver: driver.stock_locations(),
    "Configuration": lambda driver: driver.configuration(),
    "TaskInfo": lambda driver: driver.delivery("D1"),
    "Status": lambda driver: driver.readiness(),
}


@pytest.mark.parametrize("capability", CALLS)
async def test_what_the_machine_does_not_announce_is_not_sent(
    stand: Stand, capability: str
) -> None:
    driver = await limited(stand, "KeepAlive")

    with pytest.raises(Unsupported, match=f"does not support {capability}") as unsupported:
        await CALLS[capability](driver)
    assert unsupported.value.moved is Moved.NO


@pytest.mark.parametrize("capability", CALLS)
async def test_without_a_connection_nothing_is_asked(stand: Stand, capability: str) -> None:
    with pytest.raises(DeviceUnavailable, match="not connected"):
        await CALLS[capability](stand.driver())


@pytest.mark.parametrize(
    ("reason", "error"), [("NotSupported", Unsupported), ("TooManyRequests", DeviceRefused)]
)
async def test_what_the_machine_does_not_process_is_refused(
    stand: Stand, reason: str, error: type[DriverError]
) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    asking = asyncio.ensure_future(driver.configuration())
    request = await peer.hear()
    peer.say(wire.UnprocessedMessage(request.id, 999, 100, reason))

    with pytest.raises(error):
        await asking


async def test_status_is_none_until_the_machine_told_it(stand: Stand) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    before = driver.status
    asking = asyncio.ensure_future(driver.configuration())
    await peer.hear()  # answers the question for the status before

    asking.cancel()
    peer.say(wire.KeepAliveRequest("5", 999, 100))
    await peer.hear()
    assert before is None
    assert driver.status is not None
    assert driver.status.state == "Ready"


# ---------------------------------------------------------------- started inputs


@pytest.mark.parametrize("first", ["response", "message"])
async def test_a_started_input_ends_with_its_message_whenever_the_response_comes(
    stand: Stand, first: str
) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    starting = asyncio.ensure_future(driver.start_input(INTAKE, timeout_s=5))
    request = await peer.hear()
    assert request == wire.InitiateInputRequest(
        request.id,
        100,
        999,
        articles=(wire.Article(packs=INTAKE.packs),),
        details=wire.InputDetails(3),
    )
    peer.say(ended("none of ours", status="Completed"))
    if first == "response":
        peer.say(accepted(request.id))
    peer.say(ended(request.id, wire.PackData(id=7, batch="B1"), status="Completed"))
    peer.say(ended(request.id, status="Incomplete"))  # a second end changes nothing

    assert await starting == IntakeEnd(True, (Pack("7", "A1", "B1", None),), ())  # noqa: FBT003
    assert stand.kinds() == ["InitiateInputMessage"]


async def test_packs_that_were_not_stored_are_named(stand: Stand) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    starting = asyncio.ensure_future(driver.start_input(INTAKE, timeout_s=5))
    request = await peer.hear()
    lost = wire.PackData(index=4, scan_code="0107", error="QueueFull", error_text="full")
    peer.say(ended(request.id, lost, status="Incomplete"))

    assert (await starting).refused == (Refused(4, "0107", "QueueFull", "full"),)


@pytest.mark.parametrize(("status", "text"), [("Rejected", "Rejected"), ("", "no status")])
async def test_an_input_that_is_not_accepted_is_refused(
    stand: Stand, status: str, text: str
) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    starting = asyncio.ensure_future(driver.start_input(INTAKE, timeout_s=5))
    peer.say(accepted((await peer.hear()).id, status))

    with pytest.raises(DeviceRefused, match=text) as refused:
        await starting
    assert (refused.value.moved, refused.value.reason) == (Moved.NO, status)


@pytest.mark.parametrize("answered", [True, False])
async def test_an_input_without_an_end_is_an_unknown_outcome(
    stand: Stand,
    answered: bool,  # noqa: FBT001 - a case
) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    starting = asyncio.ensure_future(driver.start_input(INTAKE, timeout_s=0.1))
    request = await peer.hear()
    if answered:
        peer.say(accepted(request.id))

    with pytest.raises(DeviceTimeout, match="started and not finished in time") as late:
        await starting
    assert late.value.moved is Moved.UNKNOWN


@pytest.mark.parametrize("answered", [True, False])
async def test_an_input_whose_connection_is_lost_is_an_unknown_outcome(
    stand: Stand,
    answered: bool,  # noqa: FBT001 - a case
) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    starting = asyncio.ensure_future(driver.start_input(INTAKE, timeout_s=5))
    request = await peer.hear()
    if answered:
        peer.say(accepted(request.id))
    peer.hang_up()

    with pytest.raises(LinkLost) as lost:
        await starting
    assert lost.value.moved is Moved.UNKNOWN
    await stand.down()


async def test_an_input_that_is_not_processed_is_refused(stand: Stand) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    starting = asyncio.ensure_future(driver.start_input(INTAKE, timeout_s=5))
    peer.say(wire.UnprocessedMessage((await peer.hear()).id, 999, 100, "DataError"))

    with pytest.raises(DeviceRefused, match="DataError"):
        await starting


async def test_one_started_input_too_many_is_refused(stand: Stand) -> None:
    driver = stand.driver()
    await stand.up(driver)
    running = [
        asyncio.ensure_future(driver.start_input(INTAKE, timeout_s=5)) for _ in range(INTAKES_MAX)
    ]
    await asyncio.sleep(0)

    with pytest.raises(DeviceRefused, match="16 inputs are running"):
        await driver.start_input(INTAKE, timeout_s=5)
    await driver.close()
    lost = await asyncio.gather(*running, return_exceptions=True)
    assert {type(each) for each in lost} == {LinkLost}


async def test_an_answer_that_is_none_is_no_end_of_an_input(stand: Stand) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    starting = asyncio.ensure_future(driver.start_input(INTAKE, timeout_s=5))
    request = await peer.hear()
    peer.say(wire.UnknownMessage(request.id, 999, 100, "InitiateInputAnswer"))
    peer.say(ended(request.id, status="Completed"))

    assert (await starting).complete


# ---------------------------------------------------------------- what is never sent

REFUSED: dict[str, Call] = {
    "an input needs packs": lambda driver: driver.start_input(Intake((), 1), timeout_s=1),
    "each with its scan code": lambda driver: driver.start_input(
        Intake((wire.PackData(),), 1), timeout_s=1
    ),
    "each article needs an id": lambda driver: driver.set_articles([wire.Article()]),
    "master data name no packs": lambda driver: driver.set_articles(
        [wire.Article("A1", packs=(wire.PackData(),))]
    ),
    "a number of its own": lambda driver: driver.add_deliveries(
        [wire.Delivery("D1", (wire.Article("A"),)), wire.Delivery("D1", (wire.Article("A"),))]
    ),
    "needs a number": lambda driver: driver.add_deliveries([]),
    "delivery D1 has no article": lambda driver: driver.add_deliveries([wire.Delivery("D1")]),
    "message of .* 4096 are allowed": lambda driver: driver.set_articles(
        [wire.Article(str(number)) for number in range(300)]
    ),
    "asks for packs or for units": lambda driver: driver.output(
        Output("7", (wire.Criteria("A1", 1, 5),)), timeout_s=1
    ),
    "at least one": lambda driver: driver.output(Output("7", (wire.Criteria("A1"),)), timeout_s=1),
    "priority 'Soon' is not one of": lambda driver: driver.output(
        Output("7", (), priority="Soon"), timeout_s=1
    ),
    "destination 2147483648 is too large": lambda driver: driver.output(
        Output("7", (), destination=2**31), timeout_s=1
    ),
    "order id 'manual' is reserved": lambda driver: driver.release_box("manual", timeout_s=1),
}


@pytest.mark.parametrize("text", REFUSED)
async def test_what_the_manual_does_not_allow_is_not_sent(stand: Stand, text: str) -> None:
    driver = stand.driver(message_max_bytes=4096)
    peer = await stand.up(driver)

    with pytest.raises(DeviceRefused, match=text) as refused:
        await REFUSED[text](driver)
    assert refused.value.moved is Moved.NO
    peer.say(wire.KeepAliveRequest("5", 999, 100))
    assert await peer.hear() == wire.KeepAliveResponse("5", 100, 999)


# ---------------------------------------------------------------- answers that are none


async def reply(stand: Stand, call: Call, make: Callable[[str], wire.Message]) -> None:
    driver = stand.driver()
    peer: Peer = await stand.up(driver)
    asking = asyncio.ensure_future(call(driver))
    peer.say(make((await peer.hear()).id))
    await asking


async def test_master_data_without_a_result_were_not_accepted(stand: Stand) -> None:
    with pytest.raises(DeviceRefused, match="ArticleMasterSetRequest: no result"):
        await reply(
            stand,
            CALLS["ArticleMaster"],
            lambda number: wire.ArticleMasterSetResponse(number, 999, 100),
        )


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (wire.Task("D2", "StockDelivery", "Queued"), "an answer without delivery D1"),
        (wire.Task("D1", "StockDelivery", "Strange"), "with status 'Strange'"),
    ],
)
async def test_a_delivery_is_not_guessed(stand: Stand, task: wire.Task, text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        await reply(
            stand,
            CALLS["TaskInfo"],
            lambda number: wire.TaskInfoResponse(number, 999, 100, (task,)),
        )
