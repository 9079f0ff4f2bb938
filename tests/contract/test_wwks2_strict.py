"""The simulated robot against a strict pharmacy system that was written from the manual alone.

The client shares nothing with the codec: its documents are typed here, it cuts the stream with an
XML parser, and it holds every document of the robot against the tables of the manual.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

import pytest

from simulators.serve import Served, serve_tcp
from simulators.wwks2 import RobotModel
from tests.unit.wwks2_manual import faults_of

STOCK = [
    {"article": "A1", "batch": "B1", "expiry": "2027-10-31", "packs": 3, "full_units": 20},
    {"article": "A2", "batch": "B2", "packs": 1, "units": 7, "location": "L1", "machine": "M1"},
]
LABEL = "<![CDATA[<name>a & b </WWKS> \u00e9</name>]]>"


class StrictClient:
    """A pharmacy system with a number of its own; every document that it gets is scrutinised."""

    def __init__(self, number: int, port: int, tenant: str = "") -> None:
        self.number = number
        self.tenant = tenant
        self._port = port
        self._buffer = b""
        self._documents: list[ET.Element] = []
        self._ids = iter(range(1000, 2000))
        self.heard: list[ET.Element] = []

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        tenant = f' TenantId="{self.tenant}"' if self.tenant else ""
        hello = await self.ask_raw(
            f'<HelloRequest Id="1"><Subscriber Id="{self.number}" Type="IMS" Manufacturer="M"'
            f' ProductInfo="P" VersionInfo="1"{tenant}/></HelloRequest>',
            "HelloResponse",
        )
        subscriber = hello.find("Subscriber")
        assert subscriber is not None
        assert subscriber.attrib["Type"] == "Robot"

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def say(self, lead: str, pieces: int = 0) -> None:
        """Send one document, whole or in pieces of a few bytes."""
        raw = f'<WWKS Version="2.0" TimeStamp="2026-11-21T10:00:00Z">{lead}</WWKS>'.encode()
        size = pieces or len(raw)
        for at in range(0, len(raw), size):
            self._writer.write(raw[at : at + size])

    def request(self, name: str, attributes: str = "", inside: str = "", number: str = "") -> str:
        number = number or str(next(self._ids))
        head = f'{name} Id="{number}" Source="{self.number}" Destination="999"{attributes}'
        return f"<{head}>{inside}</{name}>"

    async def ask(self, name: str, attributes: str = "", inside: str = "") -> ET.Element:
        """Send a request in small pieces and return its response."""
        lead = self.request(name, attributes, inside)
        return await self.ask_raw(lead, name.replace("Request", "Response"))

    async def ask_raw(self, lead: str, wanted: str) -> ET.Element:
        self.say(lead, pieces=37)
        answer = await self.hear(wanted)
        assert answer.attrib["Id"] == ET.fromstring(lead).attrib["Id"]  # noqa: S314 - typed here
        return answer

    async def hear(self, wanted: str) -> ET.Element:
        """Return the next document of this name; others are kept in `heard`."""
        async with asyncio.timeout(5):
            while True:
                for at, lead in enumerate(self._documents):
                    if lead.tag == wanted:
                        del self._documents[at]
                        return lead
                data = await self._reader.read(11)  # whatever the robot writes comes in pieces
                if not data:
                    raise EOFError
                self._buffer += data
                self._cut()

    def _cut(self) -> None:
        """Take whole documents off the buffer: an end is one when what comes before it is XML."""
        end = self._buffer.find(b"</WWKS>")
        while end >= 0:
            raw = self._buffer[: end + len(b"</WWKS>")]
            try:
                lead = ET.fromstring(raw)[0]  # noqa: S314 - the simulator wrote it
            except ET.ParseError:
                end = self._buffer.find(b"</WWKS>", end + 1)
                continue
            self._scrutinise(lead, raw)
            self._buffer = self._buffer[len(raw) :]
            end = self._buffer.find(b"</WWKS>")

    def _scrutinise(self, lead: ET.Element, raw: bytes) -> None:
        if lead.tag != "UnprocessedMessage":  # none of V6.0
            assert faults_of(raw) == []
        if lead.tag != "HelloResponse":
            assert (lead.attrib["Source"], lead.attrib["Destination"]) == ("999", str(self.number))
        self.heard.append(lead)
        self._documents.append(lead)

    def names(self) -> list[str]:
        return [lead.tag for lead in self.heard]


@dataclass
class Stand:
    model: RobotModel
    served: Served
    clients: list[StrictClient] = field(default_factory=list)

    async def client(self, number: int, tenant: str = "") -> StrictClient:
        port = int(self.served.address.rsplit(":", 1)[1])
        client = StrictClient(number, port, tenant)
        await client.open()
        self.clients.append(client)
        return client


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    model = RobotModel(0)
    model.set("output_s", "0")
    model.set("stock", json.dumps(STOCK))
    async with serve_tcp(model) as served:
        here = Stand(model, served)
        yield here
        for client in here.clients:
            await client.close()
        served.check()


@pytest.mark.parametrize(
    ("lead", "fault"),
    [
        ('<StatusResponse Id="1" Source="999" Destination="100"/>', "without State"),
        ('<KeepAliveResponse Id="1" Source="0" Destination="100"/>', "Source='0' is not p"),
        (
            '<StatusRequest Id="1" Source="9" Destination="1" IncludeDetails="true"/>',
            "'true' is not b",
        ),
        (
            '<OutputMessage Id="1" Source="9" Destination="1"/>',
            "OutputMessage () without <Details>",
        ),
        (
            (
                '<StockInfoMessage Id="1" Source="9" Destination="1"><Article Id="A"><Pack Id="1"'
                ' ExpiryDate="2027-13-01" Colour="red"/></Article></StockInfoMessage>'
            ),
            "ExpiryDate='2027-13-01' is not d",
        ),
        ('<KeepAliveResponse Id="1" Source="9" Destination="1" New=""/>', "New is unknown"),
        (
            '<KeepAliveResponse Id="1" Source="9" Destination="1"><New/></KeepAliveResponse>',
            "<New>",
        ),
        ("<New/>", "no message of the manual"),
    ],
)
def test_the_strict_reader_sees_what_departs_from_the_manual(lead: str, fault: str) -> None:
    raw = f'<WWKS Version="2.0" TimeStamp="2026-11-21T10:00:00Z">{lead}</WWKS>'

    assert any(fault in found for found in faults_of(raw.encode()))
    assert faults_of(b"<WWKS/>")


def child(element: ET.Element, path: str) -> dict[str, str]:
    found = element.find(path)
    assert found is not None
    return dict(found.attrib)


async def test_every_question_of_the_manual_gets_the_answer_of_the_manual(stand: Stand) -> None:
    client = await stand.client(100)
    stand.model.set("locations", json.dumps([{"id": "L1", "description": "Narcotics"}]))

    await client.ask("KeepAliveRequest")
    status = await client.ask("StatusRequest", ' IncludeDetails="True"')
    assert child(status, "Component")["State"] == status.attrib["State"] == "Ready"
    stock = await client.ask("StockInfoRequest", ' IncludeArticleDetails="True"')
    assert [each.attrib["Quantity"] for each in stock.findall("Article")] == ["3", "1"]
    assert len(stock.findall("Article/Pack")) == 4
    filtered = await client.ask("StockInfoRequest", "", '<Criteria StockLocationId="L1"/>')
    assert child(filtered, "Article/Pack")["MachineLocation"] == "M1"
    short = await client.ask("StockInfoRequest", ' IncludePacks="False"')
    assert short.findall("Article/Pack") == []
    locations = await client.ask("StockLocationInfoRequest")
    assert child(locations, "StockLocation") == {"Id": "L1", "Description": "Narcotics"}
    configuration = await client.ask("ConfigurationGetRequest")
    assert "ConfigurationValue" in str(configuration.findtext("Configuration"))
    for name, inside in (
        ("ArticleMasterSetRequest", '<Article Id="A1" RequiresFridge="False"/>'),
        ("ArticleMasterSetRequest", ""),
        (
            "StockDeliverySetRequest",
            '<StockDelivery DeliveryNumber="D1"><Article Id="A1"/></StockDelivery>',
        ),
    ):
        assert child(await client.ask(name, "", inside), "SetResult")["Value"] == "Accepted"
    again = '<StockDelivery DeliveryNumber="D1"><Article Id="A1"/></StockDelivery>'
    rejected = await client.ask("StockDeliverySetRequest", "", again)
    assert child(rejected, "SetResult")["Value"] == "Rejected"


async def test_outputs_are_told_to_every_client_and_answered_to_one(stand: Stand) -> None:
    first, second = await stand.client(100), await stand.client(101, "T2")
    order = first.request(
        "OutputRequest",
        ' BoxNumber="12"',
        '<Details OutputDestination="-3" OutputPoint="2"/><Criteria ArticleId="A1"'
        ' Quantity="0" SubItemQuantity="25"><Label TemplateId="7"><Content>'
        f"{LABEL}</Content></Label></Criteria>",
        number="1004",
    )
    first.say(order + "</WWKS><WWKS>" + first.request("KeepAliveRequest"))  # two in one segment

    answer = await first.hear("OutputResponse")
    assert child(answer, "Details")["Status"] == "Queued"
    assert answer.findtext("Criteria/Label/Content") == "<name>a & b </WWKS> \u00e9</name>"
    await first.hear("KeepAliveResponse")
    for client in (first, second):
        ended = await client.hear("OutputMessage")
        assert ended.attrib["Id"] == "1004"
        assert child(ended, "Details")["Status"] == "Completed"
        packs = [pack.attrib for pack in ended.findall("Article/Pack")]
        assert [
            (each["OutputDestination"], each["LabelStatus"], each["BoxNumber"]) for each in packs
        ] == [("-3", "Labelled", "12")] * 2
        assert child(ended, "Box") == {"Number": "12"}
        assert client.names().count("StockInfoMessage") == 2
    assert "OutputResponse" not in second.names()

    task = '<Task Type="Output" Id="1004"/><Task Type="StockDelivery" Id="D9"/>'
    info = await second.ask("TaskInfoRequest", ' IncludeTaskDetails="True"', task)
    assert [each.attrib["Status"] for each in info.findall("Task")] == ["Completed", "Unknown"]
    late = await second.ask("TaskCancelRequest", "", '<Task Type="Output" Id="1004"/>')
    assert child(late, "Task")["Status"] == "CancelError"
    stand.model.set("manual_output", json.dumps({"article": "A2"}))
    assert (await second.hear("OutputMessage")).attrib["Id"] == "1"


async def test_an_empty_order_forwards_the_next_box(stand: Stand) -> None:
    client = await stand.client(100)
    await client.ask("OutputRequest", "", '<Details OutputDestination="1"/>')

    assert child(await client.hear("OutputMessage"), "Box") == {"Number": "1"}


async def test_a_started_input_asks_stores_and_ends(stand: Stand) -> None:
    first, second = await stand.client(100), await stand.client(101)
    response = await first.ask(
        "InitiateInputRequest",
        ' IsNewDelivery="True"',
        '<Details InputSource="3"/><Article><Pack ScanCode="0107\\x1d10" DeliveryNumber="D1"'
        ' Depth="50"/><Pack Index="1" ScanCode="0108"/></Article>',
    )
    assert child(response, "Details") == {
        "InputSource": "3",
        "InputPoint": "1",
        "Status": "Accepted",
    }
    asked = await first.hear("InputRequest")
    assert (await second.hear("InputRequest")).attrib["Id"] == asked.attrib["Id"]
    assert child(asked, "Article/Pack")["ScanCode"] == "0107\\x1d10"
    first.say(
        f'<InputResponse Id="{asked.attrib["Id"]}" Source="100" Destination="999"><Article Id="A7"'
        ' Name="N"><Pack Index="0" BatchNumber="B9" ExpiryDate="2028-01-31"><Handling'
        ' Input="AllowedForFridge"/></Pack></Article><Article><Pack Index="1"><Handling'
        ' Input="RejectedNoBatchNumber" Text="no"/></Pack></Article></InputResponse>'
    )

    for client in (first, second):
        told = (await client.hear("InputMessage")).findall("Article/Pack/Handling")
        assert [each.attrib["Input"] for each in told] == ["Completed", "Aborted"]
        ended = await client.hear("InitiateInputMessage")
        assert child(ended, "Details")["Status"] == "Incomplete"
        stored, refused = ended.findall("Article/Pack")
        assert (stored.attrib["BatchNumber"], stored.attrib["ExpiryDate"]) == ("B9", "2028-01-31")
        assert refused.attrib["Id"] == "0"
        assert child(refused, "Error") == {"Type": "RejectedNoBatchNumber", "Text": "no"}
    stock = await first.ask("StockInfoRequest", "", '<Criteria ArticleId="A7"/>')
    assert child(stock, "Article/Pack")["IsInFridge"] == "True"


async def test_articles_and_deliveries_are_stored_without_asking(stand: Stand) -> None:
    client = await stand.client(100)
    stand.model.set("autonomous", "1")
    await client.ask(
        "StockDeliverySetRequest",
        "",
        '<StockDelivery DeliveryNumber="D1"><Article Id="A7" BatchNumber="B7"'
        ' ExpiryDate="2027-04-05" Quantity="1" RequiresFridge="True"/></StockDelivery>',
    )
    await client.ask("ArticleMasterSetRequest", "", '<Article Id="A8" Name="Eight"/>')
    outcomes = []
    for item in (
        {"scan_code": "A7", "delivery": "D1"},
        {"scan_code": "A7", "delivery": "D1"},
        {"scan_code": "A8", "batch": "READ"},
        {"scan_code": "A9"},
    ):
        stand.model.set("input", json.dumps(item))
        told = await client.hear("InputMessage")
        outcomes.append((child(told, "Article/Pack"), child(told, "Article/Pack/Handling")))

    assert [handling["Input"] for _, handling in outcomes] == [
        "Completed",
        "Aborted",  # the delivery brought all it may
        "Completed",
        "Aborted",
    ]
    assert [pack.get("BatchNumber") for pack, _ in outcomes] == ["B7", None, "READ", None]
    assert "InputRequest" not in client.names()
    task = '<Task Type="StockDelivery" Id="D1"/>'
    info = await client.ask("TaskInfoRequest", ' IncludeTaskDetails="True"', task)
    assert child(info, "Task")["Status"] == "Completed"
    assert child(info, "Task/Article/Pack")["DeliveryNumber"] == "D1"
    other = await stand.client(101, "T2")
    unknown = await other.ask("TaskInfoRequest", "", task)
    assert child(unknown, "Task")["Status"] == "Unknown"


async def test_what_no_manual_knows_is_quoted_back_and_the_next_question_answered(
    stand: Stand,
) -> None:
    client = await stand.client(100)
    client.say(client.request("StrangeRequest", inside="<![CDATA[</WWKS>]]>", number="77"))

    refused = await client.hear("UnprocessedMessage")
    assert (refused.attrib["Id"], refused.attrib["Reason"]) == ("77", "NotSupported")
    assert str(refused.findtext("Message")).startswith("<WWKS")
    await client.ask("KeepAliveRequest")
