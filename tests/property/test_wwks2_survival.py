"""The WWKS2 driver against whatever the manual lets a machine send, and messages nobody knows.

The documents are made from the tables of the manual, with optional attributes and elements there or
not, and with attributes, elements and messages that are in no table.
"""

import asyncio
import contextlib
from xml.sax.saxutils import quoteattr

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import (
    InputAsked,
    InputDecision,
    PickLine,
    PickOrder,
    TaskReport,
    TaskState,
)
from drivers.errors import ProtocolError
from drivers.facts import OutputReported, Pack
from drivers.wwks2 import messages as wire
from drivers.wwks2.codec import decode, encode, interpret
from drivers.wwks2.driver import Wwks2Driver
from tests.unit.wwks2_bench import AT, Peer, Stand, a_stand, completed, queued
from tests.unit.wwks2_manual import MANUAL, ROBOT_SAYS, attributes, bounds, faults_of

WORDS = ("", "A1", "1004", "a <&> \"b'", "]]>", "</WWKS>", "\u00e9\u4e2d", "\\x1d10", " ")
DAYS = ("2027-10-31", "1999-01-01", "9999-12-31")
UNKNOWN = ("ArticleInfoRequest", "InfeedInputRequest", "StockUpdateResponse", "NewMessage", "Odd")
OPEN = PickOrder("1004", (PickLine("A1", "B1", 1),))
DONE = TaskReport("1004", TaskState.COMPLETED, (Pack("5", "A1", "B1", None),))
ORDER = PickOrder("77", (PickLine("A1", "B1", 1),))
IDS = ("1", "2", "1001", "1002", "1003", "1004", "x")


@st.composite
def values(draw: st.DrawFn, name: str, kind: str) -> str:
    limits = bounds(kind)
    if limits is not None:
        low, high = limits
        return str(draw(st.sampled_from([low, high, max(low, 7)])))
    match kind:
        case "":
            return draw(st.sampled_from(IDS if name == "Id" else WORDS))
        case "b":
            return draw(st.sampled_from(["True", "False"]))
        case "d":
            return draw(st.sampled_from(DAYS))
        case words:
            return draw(st.sampled_from(words.split("|")))


@st.composite
def starts(draw: st.DrawFn, tag: str, row: str, given_: dict[str, str]) -> str:
    written = dict(given_)
    for name, (mandatory, kind) in attributes(row).items():
        if name not in written and (mandatory or draw(st.booleans())):
            written[name] = draw(values(name, kind))
    if draw(st.integers(0, 9)) == 0:
        written["NewAttribute"] = draw(st.sampled_from(WORDS))
    return f"<{tag}" + "".join(f" {name}={quoteattr(each)}" for name, each in written.items())


@st.composite
def elements(
    draw: st.DrawFn, name: str, path: str, tag: str, given_: dict[str, str] | None = None
) -> str:
    rows = MANUAL[name]
    head = draw(starts(tag, rows.get(path) or rows.get(f"{path}!") or "", given_ or {}))
    inside = ""
    for below in rows:
        parent, _, child = below.rstrip("!").rpartition("/")
        if below and parent == path:
            for _ in range(draw(st.integers(1 if below.endswith("!") else 0, 2))):
                inside += draw(elements(name, below.rstrip("!"), child))
    if draw(st.integers(0, 9)) == 0:
        inside += '<NewElement A="1"><Pack Id="no number"/><![CDATA[</WWKS>]]></NewElement>'
    if tag in {"Content", "Configuration"}:
        inside = "<![CDATA[<a>&</WWKS>]]>"
    return f"{head}>{inside}</{tag}>" if inside else f"{head}/>"


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, bytes]:
    """A name and its document; a request has an Id that marks it as one to be answered."""
    name = draw(st.sampled_from([*ROBOT_SAYS, *ROBOT_SAYS, *UNKNOWN]))
    where = {"Source": "999", "Destination": "100"} if name != "HelloResponse" else {}
    if name in UNKNOWN:
        head = {"Id": draw(st.sampled_from(IDS)), **where, "New": "1"}
        lead = (
            draw(starts(name, "", head))
            + '><Article Id="A"><Pack Id="-"/></Article>'
            + (f"</{name}>")
        )
    else:
        lead = draw(elements(name, "", name, where))
    return name, f'<WWKS Version="2.0" TimeStamp="2026-11-21T10:00:00Z">{lead}</WWKS>'.encode()


async def mirror(asked: InputAsked) -> InputDecision:
    return InputDecision(allowed=True, article="A1", refrigerated=bool(asked.lot))


def answered(peer_heard: list[wire.Message]) -> int:
    kinds = (wire.InputResponse, wire.KeepAliveResponse, wire.UnprocessedMessage)
    return sum(isinstance(message, kinds) for message in peer_heard)


async def hear_answers(peer: Peer, number: int) -> list[wire.Message]:
    heard: list[wire.Message] = []
    while answered(heard) < number:
        heard.append(await peer.hear())
    return heard


async def survive(said: list[tuple[str, bytes]], cut: int) -> None:
    async with a_stand() as stand:
        driver = stand.driver()
        driver.on_input(mirror)
        peer = await stand.up(driver)
        delivering = asyncio.ensure_future(driver.deliver(OPEN, timeout_s=5))
        peer.say(queued(await peer.hear()))
        stream = b"".join(raw for _, raw in said)
        for at in range(0, len(stream), cut):
            peer.say_raw(stream[at : at + cut])
        peer.say(wire.KeepAliveRequest("last", 999, 100))
        requests = sum(name.endswith("Request") for name, _ in said)
        heard = await hear_answers(peer, requests + 1)

        for message in heard:
            if not isinstance(message, wire.UnprocessedMessage):
                assert faults_of(encode(message, AT)) == []
        check_mirrored(said, heard)
        check_stored(stand, said)
        assert stand.watching is not None
        assert not stand.watching.done()
        assert await end_of(delivering, said, peer) == expected_end(said)
        await still_delivers(driver, peer)


def check_mirrored(said: list[tuple[str, bytes]], heard: list[wire.Message]) -> None:
    asked = [decode(raw) for name, raw in said if name == "InputRequest"]
    answers = [message for message in heard if isinstance(message, wire.InputResponse)]
    for request, answer in zip(asked, answers, strict=True):
        assert isinstance(request, wire.InputRequest)
        packs = [
            [
                (pack.index, pack.batch, pack.expiry, pack.sub_items, pack.delivery)
                for article in message.articles
                for pack in article.packs
            ]
            for message in (request, answer)
        ]
        assert packs[0] == packs[1]


def check_stored(stand: Stand, said: list[tuple[str, bytes]]) -> None:
    """Whatever says something about stock was stored, once each, as it was sent."""
    raws = [message.raw for message in stand.stored]
    for _, raw in said:
        facts = None
        with contextlib.suppress(ProtocolError):  # a stored pack without an id
            facts = interpret(raw)
        assert (raw in raws) == (facts != ())


async def end_of(
    delivering: asyncio.Future[TaskReport], said: list[tuple[str, bytes]], peer: Peer
) -> TaskReport:
    if expected_end(said) == DONE:
        peer.say(completed("1004"))
    return await delivering


def expected_end(said: list[tuple[str, bytes]]) -> TaskReport:
    """The first message about the open order is its end, whatever else is said."""
    for name, raw in said:
        if name == "OutputMessage":
            (fact,) = interpret(raw)
            assert isinstance(fact, OutputReported)
            if fact.order_id == "1004":
                packs = {pack.pack_id: pack for pack in fact.packs}
                return TaskReport("1004", TaskState(fact.status.value), tuple(packs.values()))
    return DONE


async def still_delivers(driver: Wwks2Driver, peer: Peer) -> None:
    delivering = asyncio.ensure_future(driver.deliver(ORDER, timeout_s=5))
    peer.say(queued(await peer.hear()))
    peer.say(completed("77"))
    assert (await delivering).state is TaskState.COMPLETED


@given(st.lists(documents(), min_size=1, max_size=12), st.sampled_from([7, 512, 1 << 20]))
@settings(deadline=None, max_examples=30)
def test_the_driver_survives_whatever_a_machine_may_send(
    said: list[tuple[str, bytes]], cut: int
) -> None:
    asyncio.run(survive(said, cut))
