"""Questions over a scripted line: what is believed, what is asked again, what is kept as noise."""

import asyncio
import tomllib
from collections import deque
from dataclasses import fields
from pathlib import Path

import pytest

from drivers.base import (
    DeviceSpec,
    Identity,
    Label,
    RawMessage,
)
from drivers.errors import (
    DeviceTimeout,
    DeviceUnavailable,
    DriverError,
    Moved,
    ProtocolError,
)
from drivers.transport import LinkLost
from drivers.zpl.codec import HOST_IDENTIFICATION, HOST_STATUS, HostStatus, encode_host_status
from drivers.zpl.conversation import Conversation
from drivers.zpl.driver import Options, ZplDriver, parse_options

READY = encode_host_status(HostStatus())


class Script:
    """A transport that answers each question with the next part of a script; b"" is silence."""

    parity = False

    def __init__(self, *answers: bytes | DriverError) -> None:
        self.sent: list[bytes] = []
        self._answers = deque(answers)
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue()

    async def open(self) -> None:
        """There is nothing to open."""

    async def read(self) -> bytes:
        return await self._arrived.get()

    async def write(self, data: bytes) -> None:
        answer = self._answers.popleft()
        if isinstance(answer, DriverError):
            raise answer
        self.sent.append(data)
        if answer:
            self._arrived.put_nowait(answer)

    def say(self, data: bytes) -> None:
        self._arrived.put_nowait(data)

    def discard(self) -> bytes:
        stale = b""
        while not self._arrived.empty():
            stale += self._arrived.get_nowait()
        return stale

    async def close(self) -> None:
        """There is nothing to close."""


class Kept:
    def __init__(self) -> None:
        self.raw: list[bytes] = []

    async def put(self, message: RawMessage) -> None:
        self.raw.append(message.raw)


def conversation(script: Script, kept: Kept) -> Conversation:
    return Conversation("label", script, kept.put, 0.05)


async def test_a_status_that_cannot_be_read_is_asked_again_and_kept() -> None:
    script, kept = Script(b"\x02x\x03\x02y\x03\x02z\x03", READY), Kept()
    assert await conversation(script, kept).status() == HostStatus()
    assert script.sent == [HOST_STATUS, HOST_STATUS]
    assert kept.raw == [b"xyz"]


async def test_three_unreadable_statuses_are_a_protocol_error() -> None:
    script = Script(*[b"\x02x\x03\x02y\x03\x02z\x03"] * 3)
    with pytest.raises(ProtocolError, match="line 1"):
        await conversation(script, Kept()).status()
    assert len(script.sent) == 3


async def test_silence_twice_is_a_timeout() -> None:
    script = Script(b"", b"")
    with pytest.raises(DeviceTimeout, match=r"label: no answer to ~HS within 0.05 s"):
        await conversation(script, Kept()).status()
    assert len(script.sent) == 2


async def test_two_lines_of_three_are_silence_and_kept_as_noise() -> None:
    script, kept = Script(b"\x02a\x03\x02b\x03", READY), Kept()
    assert await conversation(script, kept).status() == HostStatus()
    assert kept.raw == [b"ab"]


async def test_an_odometer_counts_when_two_readings_agree() -> None:
    script = Script(b'"11"', b'"12"', b'"12"')
    assert await conversation(script, Kept()).odometer() == 12
    assert len(script.sent) == 3


async def test_an_unreadable_odometer_does_not_agree_with_anything() -> None:
    script, kept = Script(b'"12"', b'"1Z"', b'"12"', b'"12"'), Kept()
    assert await conversation(script, kept).odometer() == 12
    assert kept.raw == [b"1Z"]


async def test_an_odometer_that_never_agrees_is_a_protocol_error() -> None:
    script = Script(b'"11"', b'"12"', b'"11"', b'"12"')
    with pytest.raises(ProtocolError, match="do not agree"):
        await conversation(script, Kept()).odometer()


@pytest.mark.parametrize("answer", [b'"?"\r\n', b"?\r\n"])
async def test_a_printer_without_an_odometer_says_so(answer: bytes) -> None:
    assert await conversation(Script(answer), Kept()).odometer() is None


async def test_an_identity_may_come_unframed() -> None:
    script = Script(b"ZM400,V53.17.7Z,8,16384KB\r\n")
    assert await conversation(script, Kept()).identity() == Identity(
        maker="Zebra (ZPL)", model="ZM400", firmware="V53.17.7Z"
    )


async def test_an_identity_that_cannot_be_read_is_empty_and_kept() -> None:
    script, kept = Script(b"\x02hello\x03"), Kept()
    assert await conversation(script, kept).identity() == Identity()
    assert kept.raw == [b"hello"]
    assert script.sent == [HOST_IDENTIFICATION]


async def test_what_came_uninvited_is_kept_and_not_taken_for_the_answer() -> None:
    script, kept = Script(READY), Kept()
    script.say(b"ALERT: PAPER LOW\r\n\x02half")
    assert await conversation(script, kept).status_once() == HostStatus()
    assert kept.raw == [b"ALERT: PAPER LOW\r\n\x02half"]


async def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    late = encode_host_status(HostStatus(paper_out=True))
    script, kept = Script(b"", READY), Kept()
    talk = conversation(script, kept)
    with pytest.raises(DeviceTimeout):
        await talk.status_once()
    script.say(late)
    assert await talk.status_once() == HostStatus()
    assert kept.raw == [late]


async def test_a_link_that_fails_on_a_question_has_moved_nothing() -> None:
    lost = LinkLost("gone")
    lost.moved = Moved.UNKNOWN
    with pytest.raises(DeviceUnavailable) as caught:
        await conversation(Script(lost), Kept()).status()
    assert caught.value.moved is Moved.NO


# ------------------------------------------------------ the link fails while a label is sent


def driver_over(script: Script) -> ZplDriver:
    options = {"reply_timeout_s": 0.05, "print_timeout_s": 0.1, "print_poll_s": 0.001}
    driver = ZplDriver(DeviceSpec("label", "tcp://127.0.0.1:9", options), Kept().put)
    driver._line._transport = script
    return driver


CONNECTED = (READY, b"\x02M,V1,8,1KB\x03", b'"7"', b'"7"')
ASKED = (READY, b'"7"', b'"7"')


async def test_a_label_that_went_out_in_part_is_in_doubt() -> None:
    lost = LinkLost("gone")
    lost.moved = Moved.UNKNOWN
    driver = driver_over(Script(*CONNECTED, *ASKED, lost))
    await driver.connect()
    with pytest.raises(DeviceTimeout, match="while it was sent: gone") as caught:
        await driver.print(Label("T", ()), request_id="a")
    assert caught.value.moved is Moved.UNKNOWN
    with pytest.raises(DeviceTimeout, match="still in doubt"):
        await driver.print(Label("T", ()), request_id="a")


async def test_a_label_of_which_nothing_went_out_may_be_sent_again() -> None:
    rose = (READY, b'"8"', b'"8"')
    driver = driver_over(
        Script(*CONNECTED, *ASKED, LinkLost("gone"), *CONNECTED, *ASKED, b"", *rose)
    )
    await driver.connect()
    with pytest.raises(LinkLost) as caught:
        await driver.print(Label("T", ()), request_id="a")
    assert caught.value.moved is Moved.NO
    await driver.close()
    await driver.connect()
    receipt = await driver.print(Label("T", ()), request_id="a")
    assert receipt.proof.value == "printed"


async def test_a_flickering_odometer_is_not_proof() -> None:
    unsure = (READY, b'"8"', b'"7"', b'"8"', b'"7"')
    driver = driver_over(Script(*CONNECTED, *ASKED, b"", *unsure * 200))
    await driver.connect()
    with pytest.raises(DeviceTimeout, match="did not rise") as caught:
        await driver.print(Label("T", ()), request_id="a")
    assert caught.value.moved is Moved.UNKNOWN


def test_the_sample_configuration_shows_every_option_with_its_default() -> None:
    sample = Path(__file__).parents[2] / "config" / "devices" / "zpl.toml"
    (device,) = tomllib.loads(sample.read_text())["devices"].values()
    assert device["protocol"] == "zpl"
    assert parse_options(device["options"]) == Options()
    assert set(device["options"]) == {field.name for field in fields(Options)}
