"""WWKS2 documents and messages; the documents are written here in the shape of the manual."""

from datetime import UTC, date, datetime, timedelta, timezone
from xml.etree.ElementTree import canonicalize

import pytest

from drivers.base import ProtocolError
from drivers.wwks2 import messages as wire
from drivers.wwks2.codec import decode, encode

AT = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)


def document(lead: str) -> bytes:
    return f'<WWKS Version="2.0" TimeStamp="2026-11-21T10:00:00Z">{lead}</WWKS>'.encode()


# One line for each message: its document, and the message it is.
EXAMPLES: list[tuple[str, wire.Message]] = [
    (
        (
            '<HelloRequest Id="1001"><Subscriber Id="100" Type="IMS" Manufacturer="Maker"'
            ' ProductInfo="Product" VersionInfo="1.4" TenantId="T1"><Capability Name="KeepAlive"/>'
            '<Capability Name="Output"/></Subscriber></HelloRequest>'
        ),
        wire.HelloRequest(
            "1001",
            wire.Subscriber(100, "IMS", "Maker", "Product", "1.4", "T1", ("KeepAlive", "Output")),
        ),
    ),
    (
        '<HelloResponse Id="1001"><Subscriber Id="999" Type="Robot"/></HelloResponse>',
        wire.HelloResponse("1001", wire.Subscriber(999, "Robot")),
    ),
    (
        '<KeepAliveRequest Id="1003" Source="100" Destination="999"/>',
        wire.KeepAliveRequest("1003", 100, 999),
    ),
    (
        '<KeepAliveResponse Id="1003" Source="999" Destination="100"/>',
        wire.KeepAliveResponse("1003", 999, 100),
    ),
    (
        '<StatusRequest Id="1004" Source="100" Destination="999" IncludeDetails="True"/>',
        wire.StatusRequest("1004", 100, 999, include_details=True),
    ),
    (
        (
            '<StatusResponse Id="1004" Source="999" Destination="100" State="NotReady"'
            ' StateText="maintenance"><Component Type="StorageSystem" Description="Arm 1"'
            ' State="Ready"/><Component Type="BoxSystem" State="NotReady" StateText="off"/>'
            "</StatusResponse>"
        ),
        wire.StatusResponse(
            "1004",
            999,
            100,
            "NotReady",
            "maintenance",
            (
                wire.Component("StorageSystem", "Arm 1", "Ready"),
                wire.Component("BoxSystem", "", "NotReady", "off"),
            ),
        ),
    ),
    (
        (
            '<InputRequest Id="1002" Source="999" Destination="100" IsNewDelivery="True"'
            ' SetPickingIndicator="True"><Article><Pack Index="1" DeliveryNumber="D7"'
            ' BatchNumber="B1" ExternalId="X1" SerialNumber="S1" ExpiryDate="2027-10-31"'
            r' ScanCode="010007101552376\x1d10B1" SubItemQuantity="12" StockLocationId="L1"'
            ' MachineLocation="M1"/></Article></InputRequest>'
        ),
        wire.InputRequest(
            "1002",
            999,
            100,
            new_delivery=True,
            set_picking_indicator=True,
            articles=(
                wire.Article(
                    packs=(
                        wire.PackData(
                            index=1,
                            delivery="D7",
                            batch="B1",
                            external_id="X1",
                            serial="S1",
                            expiry=date(2027, 10, 31),
                            scan_code="010007101552376\x1d10B1",
                            sub_items=12,
                            stock_location="L1",
                            machine_location="M1",
                        ),
                    )
                ),
            ),
        ),
    ),
    (
        (
            '<InputResponse Id="1002" Source="100" Destination="999"><Article Id="00071015523"'
            ' Name="Name" DosageForm="TAB" PackagingUnit="90 EA" MaxSubItemQuantity="90">'
            '<Pack Id="0" BatchNumber="B1" ExpiryDate="2027-10-31"><Handling Input="Allowed"'
            ' Text="ok"/></Pack></Article></InputResponse>'
        ),
        wire.InputResponse(
            "1002",
            100,
            999,
            articles=(
                wire.Article(
                    "00071015523",
                    "Name",
                    "TAB",
                    "90 EA",
                    90,
                    packs=(
                        wire.PackData(
                            batch="B1",
                            expiry=date(2027, 10, 31),
                            handling="Allowed",
                            handling_text="ok",
                        ),
                    ),
                ),
            ),
        ),
    ),
    (
        (
            '<InputMessage Id="1002" Source="999" Destination="100"><Article Id="A1"><Pack'
            ' Id="565362" StockInDate="2026-11-21" Depth="50" Width="40" Height="30"'
            ' Shape="Cylinder" State="NotAvailable" IsInFridge="True"><Handling Input="Completed"/>'
            "</Pack></Article></InputMessage>"
        ),
        wire.InputMessage(
            "1002",
            999,
            100,
            articles=(
                wire.Article(
                    "A1",
                    packs=(
                        wire.PackData(
                            id=565362,
                            stock_in=date(2026, 11, 21),
                            depth=50,
                            width=40,
                            height=30,
                            shape="Cylinder",
                            state="NotAvailable",
                            in_fridge=True,
                            handling="Completed",
                        ),
                    ),
                ),
            ),
        ),
    ),
    (
        (
            '<StockInfoRequest Id="1005" Source="100" Destination="999" IncludePacks="False"'
            ' IncludeArticleDetails="True"><Criteria ArticleId="A1"/></StockInfoRequest>'
        ),
        wire.StockInfoRequest(
            "1005",
            100,
            999,
            include_packs=False,
            include_article_details=True,
            criteria=(wire.Criteria("A1"),),
        ),
    ),
    (
        (
            '<StockInfoResponse Id="1005" Source="999" Destination="100"><Article Id="A1"'
            ' PackingUnit="90 EA" Quantity="2"><Pack Id="9223372036854775807"/><Pack Id="2"/>'
            "</Article></StockInfoResponse>"
        ),
        wire.StockInfoResponse(
            "1005",
            999,
            100,
            (
                wire.Article(
                    "A1",
                    packaging_unit="90 EA",
                    quantity=2,
                    packs=(wire.PackData(id=9223372036854775807), wire.PackData(id=2)),
                ),
            ),
        ),
    ),
    (
        (
            '<StockInfoMessage Id="1" Source="999" Destination="100"><Article Id="A1"/>'
            "</StockInfoMessage>"
        ),
        wire.StockInfoMessage("1", 999, 100, (wire.Article("A1"),)),
    ),
    (
        (
            '<OutputRequest Id="1006" Source="100" Destination="999" BoxNumber="12"><Details'
            ' Priority="High" OutputDestination="3" OutputPoint="2"/><Criteria ArticleId="A1"'
            ' Quantity="2" SubItemQuantity="5" MinimumExpiryDate="2027-01-01" BatchNumber="B1"'
            ' SingleBatchNumber="True" ExternalId="X" SerialNumber="S" PackId="77"'
            ' StockLocationId="L" MachineLocation="M"><Label TemplateId="34"><Content>'
            "<![CDATA[<name>a & b</name>]]></Content></Label></Criteria></OutputRequest>"
        ),
        wire.OutputRequest(
            "1006",
            100,
            999,
            wire.OutputDetails("High", 3, 2),
            (
                wire.Criteria(
                    "A1",
                    2,
                    5,
                    date(2027, 1, 1),
                    "B1",
                    single_batch=True,
                    external_id="X",
                    serial="S",
                    pack_id=77,
                    stock_location="L",
                    machine_location="M",
                    labels=(wire.Label("34", "<name>a & b</name>"),),
                ),
            ),
            "12",
        ),
    ),
    (
        (
            '<OutputResponse Id="1006" Source="999" Destination="100"><Details Priority="Normal"'
            ' OutputDestination="3" Status="Queued"/></OutputResponse>'
        ),
        wire.OutputResponse("1006", 999, 100, wire.OutputDetails("Normal", 3, 0, "Queued")),
    ),
    (
        (
            '<OutputMessage Id="1006" Source="999" Destination="100"><Details Priority="Normal"'
            ' OutputDestination="3" Status="Incomplete"/><Article Id="A1"><Pack Id="5637"'
            ' BoxNumber="12" OutputDestination="4" OutputPoint="1" LabelStatus="Labelled"/>'
            '</Article><Box Number="12"/></OutputMessage>'
        ),
        wire.OutputMessage(
            "1006",
            999,
            100,
            wire.OutputDetails("Normal", 3, 0, "Incomplete"),
            (
                wire.Article(
                    "A1",
                    packs=(
                        wire.PackData(
                            id=5637,
                            box="12",
                            output_destination=4,
                            output_point=1,
                            label_status="Labelled",
                        ),
                    ),
                ),
            ),
            ("12",),
        ),
    ),
    (
        (
            '<TaskInfoRequest Id="3330" Source="100" Destination="999" IncludeTaskDetails="True">'
            '<Task Type="Output" Id="1006"/></TaskInfoRequest>'
        ),
        wire.TaskInfoRequest("3330", 100, 999, (wire.Task("1006"),), include_details=True),
    ),
    (
        (
            '<TaskInfoResponse Id="3330" Source="999" Destination="100"><Task Type="Output"'
            ' Id="1006" Status="InProcess"><Box Number="1"/></Task></TaskInfoResponse>'
        ),
        wire.TaskInfoResponse(
            "3330", 999, 100, (wire.Task("1006", "Output", "InProcess", boxes=("1",)),)
        ),
    ),
    (
        (
            '<OutputInfoRequest Id="3331" Source="100" Destination="999"><Task Id="1006"/>'
            "</OutputInfoRequest>"
        ),
        wire.OutputInfoRequest("3331", 100, 999, (wire.Task("1006", ""),)),
    ),
    (
        (
            '<OutputInfoResponse Id="3331" Source="999" Destination="100"><Task Id="1006"'
            ' Status="Unknown"/></OutputInfoResponse>'
        ),
        wire.OutputInfoResponse("3331", 999, 100, (wire.Task("1006", "", "Unknown"),)),
    ),
    (
        (
            '<TaskCancelRequest Id="3335" Source="100" Destination="999"><Task Type="Output"'
            ' Id="1006"/></TaskCancelRequest>'
        ),
        wire.TaskCancelRequest("3335", 100, 999, (wire.Task("1006"),)),
    ),
    (
        (
            '<TaskCancelResponse Id="3335" Source="999" Destination="100"><Task Type="Output"'
            ' Id="1006" Status="Cancelled"/></TaskCancelResponse>'
        ),
        wire.TaskCancelResponse("3335", 999, 100, (wire.Task("1006", "Output", "Cancelled"),)),
    ),
    (
        (
            '<TaskCancelOutputRequest Id="3336" Source="100" Destination="999"><Task Id="1006"/>'
            "</TaskCancelOutputRequest>"
        ),
        wire.TaskCancelOutputRequest("3336", 100, 999, (wire.Task("1006", ""),)),
    ),
    (
        (
            '<TaskCancelOutputResponse Id="3336" Source="999" Destination="100"><Task Id="1006"'
            ' Status="CancelError"/></TaskCancelOutputResponse>'
        ),
        wire.TaskCancelOutputResponse("3336", 999, 100, (wire.Task("1006", "", "CancelError"),)),
    ),
    (
        (
            '<UnprocessedMessage Id="9" Source="999" Destination="100" Reason="NotSupported"'
            ' Text="no"><Message><![CDATA[<WWKS><A>]]]]><![CDATA[></A></WWKS>]]></Message>'
            "</UnprocessedMessage>"
        ),
        wire.UnprocessedMessage("9", 999, 100, "NotSupported", "no", "<WWKS><A>]]></A></WWKS>"),
    ),
    (
        '<StockDeliverySetRequest Id="8" Source="999" Destination="100"/>',
        wire.UnknownMessage("8", 999, 100, "StockDeliverySetRequest"),
    ),
]
NAMES = [example[0][1:].split(" ", 1)[0] for example in EXAMPLES]


@pytest.mark.parametrize(("lead", "message"), EXAMPLES, ids=NAMES)
def test_every_message_is_read_as_written_in_the_manual(lead: str, message: wire.Message) -> None:
    assert decode(document(lead)) == message


@pytest.mark.parametrize(("lead", "message"), EXAMPLES, ids=NAMES)
def test_every_message_is_written_as_in_the_manual(lead: str, message: wire.Message) -> None:
    assert canonicalize(encode(message, AT).decode()) == canonicalize(document(lead).decode())


def test_a_request_is_written_byte_for_byte_as_documented() -> None:
    request = wire.OutputRequest(
        "1004",
        100,
        999,
        wire.OutputDetails("Normal", 3),
        (wire.Criteria("00071015523", 2, batch="LOT 1"),),
    )

    assert encode(request, AT) == (
        b'<WWKS Version="2.0" TimeStamp="2026-11-21T10:00:00Z"><OutputRequest Id="1004"'
        b' Source="100" Destination="999"><Details Priority="Normal" OutputDestination="3"/>'
        b'<Criteria ArticleId="00071015523" Quantity="2" BatchNumber="LOT 1"/></OutputRequest>'
        b"</WWKS>"
    )


def test_the_time_stamp_is_written_in_utc() -> None:
    there = datetime(2026, 11, 21, 12, 0, 0, tzinfo=timezone(timedelta(hours=2)))

    assert b'TimeStamp="2026-11-21T10:00:00Z"' in encode(wire.KeepAliveRequest("1", 1, 2), there)


def test_reserved_characters_and_control_characters_are_written_so_that_they_come_back() -> None:
    text = "<&>\"'\t\n\x1d\x00\x7f\r é 💊"
    message = wire.StatusResponse("1", 999, 100, "NotReady", text)

    written = encode(message, AT)

    assert (
        b'StateText="&lt;&amp;&gt;&quot;&apos;&#9;&#10;\\x1d\\x00\\x7f\\x0d '
        b'\xc3\xa9 \xf0\x9f\x92\x8a"' in written
    )
    assert decode(written) == message


def test_only_control_characters_are_taken_for_escapes() -> None:
    lead = r'<StatusResponse Id="1" StateText="C:\x41\x1D\x9g"/>'

    assert decode(document(lead)) == wire.StatusResponse("1", 0, 0, "", "C:\\x41\x1d\\x9g")


@pytest.mark.parametrize("character", ["\ud800", "\ufffe", "\uffff"])
def test_a_character_that_xml_does_not_have_is_not_sent(character: str) -> None:
    with pytest.raises(ProtocolError, match="cannot be sent"):
        encode(wire.StatusResponse("1", 1, 2, "Ready", character), AT)


@pytest.mark.parametrize(
    ("text", "value"), [("True", True), ("true", True), ("FALSE", False), ("", False)]
)
def test_booleans_are_read_in_any_case(text: str, value: bool) -> None:  # noqa: FBT001
    lead = f'<StatusRequest Id="1" IncludeDetails="{text}"/>'

    assert decode(document(lead)) == wire.StatusRequest("1", 0, 0, include_details=value)


def test_missing_optional_attributes_have_the_defaults_of_the_manual() -> None:
    assert decode(document('<StockInfoRequest Id="1"/>')) == wire.StockInfoRequest(
        "1", 0, 0, include_packs=True, include_article_details=False
    )
    read = decode(
        document('<OutputMessage Id="1"><Article><Pack Id="5"/></Article></OutputMessage>')
    )
    assert read == wire.OutputMessage(
        "1",
        0,
        0,
        wire.OutputDetails("Normal", 0, 0, ""),
        (wire.Article("", packs=(wire.PackData(id=5, shape="Cuboid", state="Available"),)),),
    )


def test_attributes_and_elements_that_are_not_known_are_ignored() -> None:
    lead = '<KeepAliveRequest Id="1" Source="9" Destination="8" New="x"><Newer/></KeepAliveRequest>'

    assert decode(document(lead)) == wire.KeepAliveRequest("1", 9, 8)


def test_the_packaging_unit_is_read_under_both_names_the_manual_uses() -> None:
    for name in ("PackagingUnit", "PackingUnit"):
        lead = f'<StockInfoMessage Id="1"><Article Id="A" {name}="10 EA"/></StockInfoMessage>'
        read = decode(document(lead))
        assert isinstance(read, wire.StockInfoMessage)
        assert read.articles[0].packaging_unit == "10 EA"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe\x00",
        b"no xml",
        b"<WWKS/>",
        b"<OTHER><KeepAliveRequest Id='1'/></OTHER>",
        b"<WWKS><KeepAliveRequest Id='1'/><KeepAliveRequest Id='2'/></WWKS>",
        b"<WWKS><KeepAliveRequest Id='1'></WWKS>",
        b"<WWKS><KeepAliveRequest Id='1' Id='2'/></WWKS>",
        b"<WWKS><KeepAliveRequest/></WWKS>",
        b"<WWKS><KeepAliveRequest Id='\xc3'/></WWKS>",
        b"<WWKS><KeepAliveRequest Id='&other;'/></WWKS>",
        b"<WWKS><KeepAliveRequest Id='1' Source='-1'/></WWKS>",
        b"<WWKS><KeepAliveRequest Id='1' Source='1.0'/></WWKS>",
        b"<WWKS><KeepAliveRequest Id='1' Source='2147483648'/></WWKS>",
        b"<WWKS><KeepAliveRequest Id='1' Source='\xd9\xa1'/></WWKS>",
        b"<WWKS><StatusRequest Id='1' IncludeDetails='1'/></WWKS>",
        (
            b"<WWKS><OutputMessage Id='1'><Article><Pack Id='9223372036854775808'/></Article>"
            b"</OutputMessage></WWKS>"
        ),
        (
            b"<WWKS><InputMessage Id='1'><Article><Pack ExpiryDate='2027-02-29'/></Article>"
            b"</InputMessage></WWKS>"
        ),
        (
            b"<WWKS><InputMessage Id='1'><Article><Pack ExpiryDate='20270228'/></Article>"
            b"</InputMessage></WWKS>"
        ),
        b"<WWKS><TaskInfoResponse Id='1'><Task Status='Queued'/></TaskInfoResponse></WWKS>",
        b"<WWKS>" + b"<A Id='1'>" * 20 + b"</A>" * 20 + b"</WWKS>",
        b"<!DOCTYPE WWKS><WWKS><KeepAliveRequest Id='1'/></WWKS>",
        b"<!DOCTYPE WWKS SYSTEM 'file:///etc/passwd'><WWKS><KeepAliveRequest Id='1'/></WWKS>",
        b"<!DOCTYPE W [<!ENTITY a 'b'><!ENTITY c '&a;&a;'>]><WWKS><A Id='&c;'/></WWKS>",
        b"<!DOCTYPE W [<!ENTITY a SYSTEM 'http://127.0.0.1/'>]><WWKS><A Id='1'>&a;</A></WWKS>",
    ],
)
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(raw)
