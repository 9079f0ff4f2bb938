"""WWKS2 documents and messages; the documents are written here in the shape of the manual."""

from datetime import UTC, datetime, timedelta, timezone
from xml.etree.ElementTree import canonicalize

import pytest

from drivers.errors import ProtocolError
from drivers.wwks2 import messages as wire
from drivers.wwks2.codec import decode, encode
from tests.unit.wwks2_examples import EXAMPLES

AT = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)


def document(lead: str) -> bytes:
    return f'<WWKS Version="2.0" TimeStamp="2026-11-21T10:00:00Z">{lead}</WWKS>'.encode()


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


def test_a_configuration_that_comes_as_elements_is_kept_as_text() -> None:
    lead = '<ConfigurationGetResponse Id="1"><Configuration> <A B="1"/><C/></Configuration>'

    assert decode(document(f"{lead}</ConfigurationGetResponse>")) == wire.ConfigurationGetResponse(
        "1", 0, 0, '<A B="1"/><C/>'
    )


def test_article_master_data_need_no_address() -> None:
    lead = '<ArticleMasterSetRequest><Article Id="A1"/></ArticleMasterSetRequest>'

    assert decode(document(lead)) == wire.ArticleMasterSetRequest("", 0, 0, (wire.Article("A1"),))
