"""The WWKS2 driver against a scripted machine: what the simulator would never do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import date

import pytest

from drivers.base import (
    Identity,
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
    Moved,
    ProtocolError,
)
from drivers.transport import LinkLost
from drivers.wwks2 import messages as wire
from drivers.wwks2.codec import encode
from tests.unit.wwks2_bench import AT, SUBSCRIBER, Stand, a_stand, completed, input_of, queued

ORDER = PickOrder("1004", (PickLine("A1", "B1", 1),))


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    async with a_stand() as here:
        yield here


# ---------------------------------------------------------------- hello


async def test_the_machine_is_identified_by_its_hello(stand: Stand) -> None:
    driver = stand.driver(subscriber_id=100)
    connecting = asyncio.ensure_future(driver.connect())
    peer = await stand.peer()
    hello = await peer.hear()

    assert isinstance(hello, wire.HelloRequest)
    assert hello.subscriber == wire.Subscriber(
        100,
        "IMS",
        "dispensed",
        "dispensed",
        "0.1",
        "",
        (
            "KeepAlive",
            "Status",
            "Input",
            "InitiateInput",
            "ArticleMaster",
            "StockDelivery",
            "StockInfo",
            "Output",
            "TaskInfo",
            "TaskCancel",
            "Configuration",
            "StockLocationInfo",
        ),
    )
    peer.say(wire.HelloResponse(hello.id, SUBSCRIBER))
    assert await connecting == Identity("Maker", "Product", "", "2.0.1")
    await driver.close()
    await driver.close()


async def test_a_machine_that_does_not_say_hello_is_given_up(stand: Stand) -> None:
    driver = stand.driver(hello_timeout_s=0.05)

    with pytest.raises(DeviceTimeout, match=r"no HelloResponse within 0\.05 s") as late:
        await driver.connect()
    assert late.value.moved is Moved.NO


async def test_a_machine_that_hangs_up_instead_of_saying_hello_is_unavailable(stand: Stand) -> None:
    driver = stand.driver()
    connecting = asyncio.ensure_future(driver.connect())
    (await stand.peer()).hang_up()

    with pytest.raises(DeviceUnavailable) as gone:
        await connecting
    assert gone.value.moved is Moved.NO


async def test_a_machine_that_does_not_process_hello_refuses(stand: Stand) -> None:
    driver = stand.driver()
    connecting = asyncio.ensure_future(driver.connect())
    peer = await stand.peer()
    hello = await peer.hear()
    peer.say(wire.UnprocessedMessage(hello.id, 999, 0, "DataError", "tenant", ""))

    with pytest.raises(DeviceRefused, match="DataError tenant") as refused:
        await connecting
    assert refused.value.reason == "DataError"


async def test_a_machine_without_a_number_is_refused(stand: Stand) -> None:
    driver = stand.driver()
    connecting = asyncio.ensure_future(driver.connect())
    peer = await stand.peer()
    hello = await peer.hear()
    peer.say(wire.HelloResponse(hello.id, wire.Subscriber(0)))

    with pytest.raises(ProtocolError, match="without a subscriber id"):
        await connecting


async def test_what_the_machine_says_before_its_hello_is_stored(stand: Stand) -> None:
    driver = stand.driver()
    connecting = asyncio.ensure_future(driver.connect())
    peer = await stand.peer()
    hello = await peer.hear()
    peer.say(completed("1"))
    peer.say(wire.KeepAliveRequest("5", 999, 100))
    peer.say(wire.HelloResponse(hello.id, SUBSCRIBER))
    await connecting

    assert stand.kinds() == ["OutputMessage"]
    await driver.close()


async def test_watching_needs_a_connection(stand: Stand) -> None:
    with pytest.raises(DeviceUnavailable, match="not connected"):
        await stand.driver().watch()


# ---------------------------------------------------------------- what the machine asks


async def test_a_keep_alive_request_is_answered(stand: Stand) -> None:
    peer = await stand.up(stand.driver())
    peer.say(wire.KeepAliveRequest("5", 999, 100))
    peer.say(wire.KeepAliveRequest("6", 999, 0))

    assert await peer.hear() == wire.KeepAliveResponse("5", 100, 999)
    assert await peer.hear() == wire.KeepAliveResponse("6", 100, 999)


async def test_a_request_that_we_do_not_serve_is_answered_with_the_message_quoted(
    stand: Stand,
) -> None:
    peer = await stand.up(stand.driver())
    raw = b'<WWKS Version="2.0"><ArticleInfoRequest Id="8" Source="999" Destination="100"/></WWKS>'
    peer.say_raw(raw)

    answer = await peer.hear()

    assert isinstance(answer, wire.UnprocessedMessage)
    assert (answer.id, answer.source, answer.destination) == ("8", 100, 999)
    assert (answer.reason, answer.content) == ("NotSupported", raw.decode())


async def test_requests_for_others_and_messages_nobody_knows_are_not_answered(stand: Stand) -> None:
    peer = await stand.up(stand.driver())
    peer.say(wire.KeepAliveRequest("5", 999, 101))
    peer.say(wire.StatusRequest("6", 999, 101))
    peer.say(wire.InputRequest("7", 999, 101))
    peer.say(wire.UnknownMessage("8", 999, 100, "NewMessage"))
    peer.say(wire.UnknownMessage("9", 999, 100, "NewResponse"))
    peer.say(wire.HelloRequest("10", SUBSCRIBER))
    peer.say(wire.KeepAliveRequest("11", 999, 100))

    assert await peer.hear() == wire.KeepAliveResponse("11", 100, 999)


async def test_without_a_handler_every_input_is_refused(stand: Stand) -> None:
    peer = await stand.up(stand.driver())
    peer.say(input_of(wire.PackData(scan_code="01")))

    answer = await peer.hear()

    assert isinstance(answer, wire.InputResponse)
    (article,) = answer.articles
    assert article.id == ""
    assert article.packs[0].handling == "Rejected"
    assert article.packs[0].handling_text == "no inputs are accepted"


async def test_a_decision_that_takes_too_long_is_a_no(stand: Stand) -> None:
    driver = stand.driver(input_timeout_s=0.05)
    driver.on_input(lambda _: asyncio.Event().wait())  # type: ignore[arg-type,return-value]
    peer = await stand.up(driver)
    peer.say(input_of(wire.PackData(scan_code="01")))

    answer = await peer.hear()

    assert isinstance(answer, wire.InputResponse)
    assert answer.articles[0].packs[0].handling_text == "no decision in time"


async def test_every_pack_of_an_input_is_decided_and_mirrored(stand: Stand) -> None:
    asked: list[InputAsked] = []

    async def decide(question: InputAsked) -> InputDecision:
        asked.append(question)
        if question.scan_code == "unknown":
            return InputDecision(allowed=False, reason="unknown article")
        if question.expiry is None:
            return InputDecision(allowed=False, article="A1", reason="no_expiry")
        return InputDecision(
            allowed=True, article="A1", name="Name", lot="READ", units=0, pack_units=90
        )

    driver = stand.driver()
    driver.on_input(decide)
    peer = await stand.up(driver)
    known = wire.PackData(
        index=2,
        scan_code="known",
        batch="TYPED",
        expiry=date(2028, 1, 31),
        sub_items=7,
        delivery="D1",
        external_id="X",
        serial="S",
        stock_location="L",
    )
    peer.say(input_of(wire.PackData(scan_code="unknown"), wire.PackData(index=1), known))

    assert await peer.hear() == wire.InputResponse(
        "77",
        100,
        999,
        new_delivery=True,
        articles=(
            wire.Article(
                packs=(wire.PackData(handling="Rejected", handling_text="unknown article"),)
            ),
            wire.Article(
                "A1",
                packs=(
                    wire.PackData(
                        index=1, handling="RejectedNoExpiryDate", handling_text="no_expiry"
                    ),
                ),
            ),
            wire.Article(
                "A1",
                "Name",
                max_sub_items=90,
                packs=(
                    wire.PackData(
                        index=2,
                        batch="READ",
                        expiry=date(2028, 1, 31),
                        sub_items=0,
                        delivery="D1",
                        external_id="X",
                        serial="S",
                        stock_location="L",
                        handling="Allowed",
                    ),
                ),
            ),
        ),
    )
    assert [each.lot for each in asked] == ["", "", "TYPED"]
    assert asked[2].units == 7


async def test_one_input_too_many_is_refused_at_once(stand: Stand) -> None:
    waiting = asyncio.Event()

    async def decide(_: InputAsked) -> InputDecision:
        await waiting.wait()
        return InputDecision(allowed=False)

    driver = stand.driver()
    driver.on_input(decide)
    peer = await stand.up(driver)
    for number in range(40):
        peer.say(input_of(wire.PackData(), message_id=str(number)))

    refused = await peer.hear()
    assert isinstance(refused, wire.UnprocessedMessage)
    assert refused.reason == "TooManyRequests"
    assert 32 <= int(refused.id) <= 33
    waiting.set()


# ---------------------------------------------------------------- sink first


async def test_an_order_has_not_ended_before_its_message_is_stored(stand: Stand) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    delivering = asyncio.ensure_future(driver.deliver(ORDER, timeout_s=5))
    peer.say(queued(await peer.hear()))
    stand.gate.clear()
    peer.say(completed("1004"))
    peer.say(wire.KeepAliveRequest("5", 999, 100))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(delivering), 0.1)

    assert not delivering.done()
    assert stand.stored == []
    stand.gate.set()
    assert (await delivering).state is TaskState.COMPLETED
    assert stand.kinds() == ["OutputMessage"]


async def test_a_message_that_could_not_be_stored_is_stored_after_the_reconnect(
    stand: Stand,
) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    stand.failure = RuntimeError("the disk is full")
    peer.say(completed("1"))
    failure = await stand.down()
    assert isinstance(failure, ExceptionGroup)
    assert stand.stored == []

    await stand.up(driver)

    assert stand.kinds() == ["OutputMessage"]


async def test_a_burst_of_garbage_is_stored_once(stand: Stand) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    peer.say_raw(b"noise<WWKS><A<WWKS><B<WWKS><C")
    peer.say(wire.KeepAliveRequest("5", 999, 100))
    await peer.hear()
    peer.say_raw(b"more")
    peer.say(wire.KeepAliveRequest("6", 999, 100))
    await peer.hear()

    assert [message.raw for message in stand.stored] == [b"noise", b"more"]
    assert stand.kinds() == ["garbage", "garbage"]


# ---------------------------------------------------------------- outputs


async def test_a_message_before_its_response_ends_the_order_too(stand: Stand) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    delivering = asyncio.ensure_future(driver.deliver(ORDER, timeout_s=5))
    request = await peer.hear()
    peer.say(completed("1004"))

    assert (await delivering).state is TaskState.COMPLETED
    peer.say(queued(request))


async def test_an_order_that_is_not_answered_is_an_unknown_outcome(stand: Stand) -> None:
    driver = stand.driver(request_timeout_s=0.05)
    await stand.up(driver)

    with pytest.raises(DeviceTimeout, match="was sent and not answered in time") as late:
        await driver.deliver(ORDER, timeout_s=5)
    assert late.value.moved is Moved.UNKNOWN


async def test_a_refusal_that_quotes_nothing_is_found_by_its_id(stand: Stand) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    delivering = asyncio.ensure_future(driver.deliver(ORDER, timeout_s=5))
    request = await peer.hear()
    peer.say(wire.UnprocessedMessage(request.id, 999, 100, "DataError", "", "not a message"))

    with pytest.raises(DeviceRefused, match="DataError") as refused:
        await delivering
    assert (refused.value.moved, refused.value.reason) == (Moved.NO, "DataError")


async def test_an_order_waits_until_the_open_ones_were_asked_for(stand: Stand) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    first = asyncio.ensure_future(driver.deliver(ORDER, timeout_s=5))
    peer.say(queued(await peer.hear()))
    peer.hang_up()
    with pytest.raises(LinkLost) as lost:
        await first
    assert lost.value.moved is Moved.UNKNOWN
    assert isinstance(await stand.down(), LinkLost)

    peer = await stand.up(driver)
    other = PickOrder("1005", (PickLine("A1", "B1", 1),))
    with pytest.raises(DeviceTimeout, match="earlier ones are being asked for") as early:
        await driver.deliver(other, timeout_s=0.05)
    assert early.value.moved is Moved.NO
    second = asyncio.ensure_future(driver.deliver(other, timeout_s=5))
    question = await peer.hear()
    assert isinstance(question, wire.TaskInfoRequest)
    assert question.tasks == (wire.Task("1004"),)
    assert question.include_details
    task = wire.Task("1004", "Output", "Completed", completed("1004").articles)
    peer.say(wire.TaskInfoResponse(question.id, 999, 100, (task,)))
    request = await peer.hear()
    assert request.id == "1005"
    assert stand.kinds() == ["TaskInfoResponse"]
    peer.say(queued(request))
    peer.say(completed("1005", 6))

    assert (await second).state is TaskState.COMPLETED
    assert (await driver.deliver(ORDER, timeout_s=5)).packs[0].pack_id == "5"


@pytest.mark.parametrize("answer", ["unprocessed", "strange status", "another task", "wrong kind"])
async def test_a_machine_that_cannot_tell_does_not_block_the_next_order(
    stand: Stand, answer: str
) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    first = asyncio.ensure_future(driver.deliver(ORDER, timeout_s=5))
    peer.say(queued(await peer.hear()))
    peer.hang_up()
    with pytest.raises(LinkLost):
        await first
    await stand.down()
    peer = await stand.up(driver)
    second = asyncio.ensure_future(
        driver.deliver(PickOrder("1005", (PickLine("A1", "B1", 1),)), timeout_s=5)
    )
    while not isinstance(question := await peer.hear(), wire.OutputRequest):
        match answer:
            case "unprocessed":
                quoted = encode(question, AT).decode()
                peer.say(wire.UnprocessedMessage("0", 999, 100, "NotSupported", "", quoted))
            case "strange status":
                tasks = (wire.Task("1004", "Output", "Strange"),)
                peer.say(wire.TaskInfoResponse(question.id, 999, 100, tasks))
            case "another task":
                tasks = (wire.Task("1003", "Output", "Completed"),)
                peer.say(wire.TaskInfoResponse(question.id, 999, 100, tasks))
            case _:
                raw = encode(wire.KeepAliveResponse(question.id, 999, 100), AT)
                peer.say_raw(raw.replace(b"KeepAliveResponse", b"TaskInfoResponse"))
    peer.say(queued(question))
    peer.say(completed("1005", 6))

    assert (await second).state is TaskState.COMPLETED


async def test_too_many_requests_while_asking_is_reported_and_not_taken_for_an_answer(
    stand: Stand,
) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    asking = asyncio.ensure_future(driver.reconcile("1004"))
    question = await peer.hear()
    quoted = encode(question, AT).decode()
    peer.say(wire.UnprocessedMessage("0", 999, 100, "TooManyRequests", "", quoted))

    with pytest.raises(DeviceRefused) as refused:
        await asking
    assert refused.value.moved is Moved.UNKNOWN


async def test_a_machine_that_announces_other_questions_is_asked_those_first(stand: Stand) -> None:
    driver = stand.driver()
    connecting = asyncio.ensure_future(driver.connect())
    peer = await stand.peer()
    hello = await peer.hear()
    modern = wire.Subscriber(777, "Robot", capabilities=("Output", "OutputInfo", "KeepAlive"))
    peer.say(wire.HelloResponse(hello.id, modern))
    await connecting
    stand.watching = asyncio.ensure_future(driver.watch())
    asking = asyncio.ensure_future(driver.reconcile("1004"))

    heard = [await peer.hear(), await peer.hear()]
    alive = next(each for each in heard if isinstance(each, wire.KeepAliveRequest))
    question = next(each for each in heard if isinstance(each, wire.OutputInfoRequest))
    assert question.destination == 777
    peer.say(wire.KeepAliveResponse(alive.id, 777, 100))
    peer.say(wire.OutputInfoResponse(question.id, 777, 100, (wire.Task("1004", "", "InProcess"),)))

    assert (await asking).state is TaskState.RUNNING
    assert stand.stored == []


async def test_waiting_calls_fail_when_the_driver_is_closed(stand: Stand) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    asking = asyncio.ensure_future(driver.inventory())
    await peer.hear()
    await driver.close()

    with pytest.raises(LinkLost) as lost:
        await asking
    assert lost.value.moved is Moved.NO
    assert isinstance(await stand.down(), LinkLost)


async def test_an_inventory_that_does_not_come_times_out(stand: Stand) -> None:
    driver = stand.driver(inventory_timeout_s=0.05)
    await stand.up(driver)

    with pytest.raises(DeviceTimeout, match=r"StockInfoRequest within 0\.05 s"):
        await driver.inventory()
