"""What the WWKS2 driver does when it cannot know: it says so, and never outputs twice."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from drivers.base import (
    PickLine,
    PickOrder,
    TaskReport,
    TaskState,
)
from drivers.errors import (
    DeviceRefused,
    DeviceTimeout,
    DriverError,
    Moved,
    ProtocolError,
    Unsupported,
)
from drivers.facts import OutputReported, OutputStatus
from drivers.transport import LinkLost, TcpTransport
from drivers.wwks2 import messages as wire
from drivers.wwks2.link import REQUESTS_MAX, Link, checked
from drivers.wwks2.orders import REMEMBERED_MAX, Orders
from drivers.wwks2.wanted import OutputEnd
from tests.unit.wwks2_bench import Peer, Stand, a_stand, completed, queued

ORDER = PickOrder("1004", (PickLine("A1", "B1", 1),))


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    async with a_stand() as here:
        yield here


def numbered(number: int) -> PickOrder:
    return PickOrder(str(number), (PickLine("A1", "B1", 1),))


async def told(peer: Peer, status: str) -> None:
    """Answer a question about an order."""
    question = await peer.hear()
    assert isinstance(question, wire.TaskInfoRequest)
    articles = completed("1004").articles if status == "Completed" else ()
    task = wire.Task(question.tasks[0].id, "Output", status, articles)
    peer.say(wire.TaskInfoResponse(question.id, 999, 100, (task,)))


@pytest.mark.parametrize(
    "message",
    [
        completed("1004", pack_id=0),
        wire.OutputMessage("1004", 999, 100, wire.OutputDetails(status="Strange")),
    ],
)
async def test_an_order_whose_end_contradicts_itself_is_doubtful_and_not_sent_again(
    stand: Stand, message: wire.OutputMessage
) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    delivering = asyncio.ensure_future(driver.deliver(ORDER, timeout_s=5))
    peer.say(queued(await peer.hear()))
    peer.say(message)
    with pytest.raises(ProtocolError) as doubtful:
        await delivering
    assert doubtful.value.moved is Moved.UNKNOWN
    assert stand.kinds() == ["OutputMessage"]

    with pytest.raises(ProtocolError):
        await driver.deliver(ORDER, timeout_s=5)
    asking = asyncio.ensure_future(driver.reconcile("1004"))
    await told(peer, "Completed")  # the next thing it hears is the question
    report = await asking

    assert await driver.deliver(ORDER, timeout_s=5) == report
    assert report.state is TaskState.COMPLETED


async def test_an_order_nobody_can_tell_about_is_not_sent_again(stand: Stand) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    delivering = asyncio.ensure_future(driver.deliver(ORDER, timeout_s=5))
    peer.say(queued(await peer.hear()))
    peer.hang_up()
    with pytest.raises(LinkLost):
        await delivering
    await stand.down()
    peer = await stand.up(driver)
    again = asyncio.ensure_future(driver.deliver(ORDER, timeout_s=5))
    for _ in range(2):
        question = await peer.hear()
        peer.say(wire.UnprocessedMessage(question.id, 999, 100, "NotSupported", "", ""))

    with pytest.raises(Unsupported) as doubtful:
        await again
    assert doubtful.value.moved is Moved.UNKNOWN


async def test_an_order_that_runs_on_after_the_reconnect_is_waited_for(stand: Stand) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    delivering = asyncio.ensure_future(driver.deliver(ORDER, timeout_s=5))
    peer.say(queued(await peer.hear()))
    peer.hang_up()
    with pytest.raises(LinkLost):
        await delivering
    await stand.down()
    peer = await stand.up(driver)
    again = asyncio.ensure_future(driver.deliver(ORDER, timeout_s=5))
    await told(peer, "InProcess")
    peer.say(completed("1004"))

    assert (await again).state is TaskState.COMPLETED


async def test_an_order_that_waits_for_the_questions_fails_unsent_when_the_line_goes(
    stand: Stand,
) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    delivering = asyncio.ensure_future(driver.deliver(ORDER, timeout_s=5))
    peer.say(queued(await peer.hear()))
    peer.hang_up()
    with pytest.raises(LinkLost):
        await delivering
    await stand.down()
    peer = await stand.up(driver)
    other = asyncio.ensure_future(driver.deliver(numbered(1005), timeout_s=5))
    await peer.hear()
    peer.hang_up()

    with pytest.raises(LinkLost) as unsent:
        await other
    assert unsent.value.moved is Moved.NO


@pytest.mark.parametrize("status", ["Rejected", "", "Strange"])
async def test_anything_but_queued_is_a_refusal(stand: Stand, status: str) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    delivering = asyncio.ensure_future(driver.deliver(ORDER, timeout_s=5))
    peer.say(queued(await peer.hear(), status))

    with pytest.raises(DeviceRefused) as refused:
        await delivering
    assert (refused.value.moved, refused.value.reason) == (Moved.NO, status)


async def test_a_machine_without_status_is_kept_alive_otherwise(stand: Stand) -> None:
    driver = stand.driver(keepalive_interval_s=0.01)
    connecting = asyncio.ensure_future(driver.connect())
    peer = await stand.peer()
    await peer.greet()
    await connecting
    stand.watching = asyncio.ensure_future(driver.watch())
    refused = await peer.hear(status=True)
    assert isinstance(refused, wire.StatusRequest)
    peer.say(wire.UnprocessedMessage(refused.id, 999, 100, "NotSupported", "", ""))
    for _ in range(3):
        alive = await peer.hear(status=True)
        assert isinstance(alive, wire.KeepAliveRequest)
        peer.say(wire.KeepAliveResponse(alive.id, 999, 100))
    await peer.hear(status=True)  # and is not answered

    assert isinstance(await stand.down(), DeviceTimeout)


async def test_a_late_or_repeated_answer_is_ignored(stand: Stand) -> None:
    driver = stand.driver()
    peer = await stand.up(driver)
    asking = asyncio.ensure_future(driver.inventory())
    question = await peer.hear()
    answer = wire.StockInfoResponse(question.id, 999, 100)
    peer.say(answer)
    peer.say(answer)
    quoted = "<WWKS><StockInfoRequest Id='1'/></WWKS>"
    peer.say(wire.UnprocessedMessage(question.id, 999, 100, "DataError", "", quoted))

    assert (await asking).packs == ()
    peer.say(answer)
    peer.say(wire.KeepAliveRequest("5", 999, 100))
    assert await peer.hear() == wire.KeepAliveResponse("5", 100, 999)


# ---------------------------------------------------------------- parts


async def test_no_more_than_a_bound_of_requests_wait_for_their_reply() -> None:
    link = Link(TcpTransport("127.0.0.1", 1), "robot1", 4096)
    replies = [
        link.expect(wire.KeepAliveRequest(str(number), 100, 999)) for number in range(REQUESTS_MAX)
    ]

    with pytest.raises(DeviceRefused, match="64 requests are waiting"):
        await link.expect(wire.KeepAliveRequest("more", 100, 999))
    await link.close("done")
    assert all(isinstance(reply.result(), LinkLost) for reply in replies)
    with pytest.raises(LinkLost) as unsent:
        await link.ask(wire.KeepAliveRequest("1", 100, 999), wire.KeepAliveResponse, 1.0)
    assert unsent.value.moved is Moved.NO


async def test_what_waits_to_be_sent_is_not_sent_on_the_next_connection(stand: Stand) -> None:
    link = Link(TcpTransport("127.0.0.1", stand.port), "robot1", 4096)
    await link.open()
    await link._writing.acquire()
    sending = asyncio.ensure_future(link.send(wire.KeepAliveRequest("1", 100, 999)))
    await asyncio.sleep(0)
    await link.close("lost")
    await link.open()
    link._writing.release()

    with pytest.raises(LinkLost) as unsent:
        await sending
    assert unsent.value.moved is Moved.NO
    await link.close("done")


def test_a_reply_of_another_kind_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="KeepAliveResponse where StatusResponse was expected"):
        checked(wire.KeepAliveResponse("1", 999, 100), wire.StatusResponse)


async def test_finished_orders_are_forgotten_oldest_first() -> None:
    orders = Orders(open_max=8)
    for number in range(REMEMBERED_MAX + 1):
        orders.begin(numbered(number))
        orders.report(OutputReported(str(number), OutputStatus.COMPLETED, ()))

    assert orders.finished(numbered(0)) is None
    assert orders.finished(numbered(1)) == OutputEnd(TaskReport("1", TaskState.COMPLETED, ()))
    assert orders.open_ids() == ()


async def test_reports_of_orders_that_are_not_ours_change_nothing() -> None:
    orders = Orders(open_max=8)
    orders.report(OutputReported("5", OutputStatus.COMPLETED, ()))
    orders.end(TaskReport("6", TaskState.COMPLETED, ()))
    orders.doubt("7", DriverError("unheard of"))

    assert orders.get("5") is None
    assert orders.finished(numbered(6)) is None
    assert orders.finished(numbered(7)) is None


class Failing(TcpTransport):
    """A connection whose next write fails."""

    moved = Moved.UNKNOWN

    async def write(self, data: bytes) -> None:
        lost = LinkLost(f"{len(data)} bytes were not written whole")
        lost.moved = self.moved
        raise lost


@pytest.mark.parametrize(("moved", "remembered"), [(Moved.UNKNOWN, ("1004",)), (Moved.NO, ())])
async def test_an_order_is_open_unless_it_is_known_that_nothing_was_written(
    stand: Stand, moved: Moved, remembered: tuple[str, ...]
) -> None:
    driver = stand.driver()
    await stand.up(driver)
    await asyncio.sleep(0)  # the first status request is out
    failing = Failing("127.0.0.1", stand.port)
    failing.moved = moved
    working, driver._link._transport = driver._link._transport, failing
    with pytest.raises(LinkLost) as lost:
        await driver.deliver(ORDER, timeout_s=5)
    driver._link._transport = working

    assert lost.value.moved is moved
    assert driver._ordering.orders.open_ids() == remembered
