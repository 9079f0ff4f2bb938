"""What holds for every serial dialect: round trip, only ProtocolError, no cut changes anything."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.and_ import codec as and_
from drivers.dialect import Done, Refused, Said, Shown, Splitter, Status, Tare, Told
from drivers.errors import ProtocolError
from drivers.nci import codec as nci
from drivers.ohaus import codec as ohaus
from drivers.sbi import codec as sbi
from drivers.toledo8217 import codec as toledo8217

EXAMPLES = settings(max_examples=25, deadline=None)


@dataclass(frozen=True)
class Book:
    """One dialect as these tests see it."""

    splitter: Callable[[], Splitter]
    decode: Callable[[bytes], Said]
    encode: Callable[[Said], bytes]
    said: st.SearchStrategy[Said]
    limit: int


def shown(
    low: int,
    high: int,
    units: tuple[str, ...],
    nets: tuple[bool | None, ...],
    *,
    stable: tuple[bool, ...] = (True, False),
) -> st.SearchStrategy[Said]:
    values = st.decimals(low, high, places=3, allow_nan=False)
    return st.builds(
        Shown, values, st.sampled_from(units), st.sampled_from(stable), st.sampled_from(nets)
    )


FLAG = st.booleans()
NETS = (None, True, False)
TARES = st.builds(Tare, st.decimals(0, 9999, places=3), st.just("g"))
TEXTS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20)
BOOKS = {
    "toledo8217": Book(
        toledo8217.splitter,
        lambda frame: toledo8217.decode(frame, "kg"),
        toledo8217.encode,
        st.one_of(
            shown(0, 99, ("kg",), (True, False), stable=(True,)),
            st.builds(Status, FLAG, FLAG, FLAG, st.just(""), FLAG),
            st.sampled_from([Done(), Told("E"), Told("F")]),
        ),
        toledo8217.FRAME_MAX,
    ),
    "nci": Book(
        nci.splitter,
        nci.decode,
        nci.encode,
        st.one_of(
            shown(0, 99, nci.UNITS, NETS),
            shown(-9, 9, nci.UNITS, NETS),
            st.builds(
                Status,
                FLAG,
                FLAG,
                FLAG,
                st.sampled_from(["", "RAM", "EEPROM", "ROM", "calibration"]),
                FLAG,
                st.sampled_from(NETS),
            ),
            st.builds(
                Status,
                fault=st.just("initial zero"),
                zero=FLAG,
                net=FLAG,
            ),
            st.just(Refused(nci.UNKNOWN)),
        ),
        nci.FRAME_MAX,
    ),
    "ohaus": Book(
        ohaus.splitter,
        ohaus.decode,
        ohaus.encode,
        st.one_of(
            shown(-999, 9999, ohaus.UNITS, NETS),
            TARES,
            st.sampled_from([Done(), Refused(ohaus.UNKNOWN)]),
        ),
        ohaus.LINE_MAX,
    ),
    "and": Book(
        and_.splitter,
        and_.decode,
        and_.encode,
        st.one_of(
            shown(-9999, 9999, ("g", "kg", "mg", "lb", "oz", "ct"), NETS),
            st.builds(
                Shown,
                st.integers(-99999999, 99999999).map(Decimal),
                st.just("PC"),
                FLAG,
                st.sampled_from(NETS),
            ),
            TARES,
            st.builds(Told, TEXTS),
            st.sampled_from([Done(), Refused("E01"), Refused("E02", busy=True)]),
            st.sampled_from([Status(over=True), Status(under=True)]),
        ),
        and_.LINE_MAX,
    ),
    "sbi": Book(
        sbi.splitter,
        sbi.decode,
        lambda said: sbi.encode(said, identification="N"),
        st.one_of(
            shown(-999, 9999, sbi.UNITS, (None,), stable=(True,)),
            shown(-999, 9999, ("",), (None,), stable=(False,)),
            st.sampled_from([Status(over=True), Status(under=True), Status(moving=True)]),
            st.integers(1, 999).map(lambda number: Status(fault=f"Err {number}")),
        ),
        sbi.LINE_MAX,
    ),
}
DIALECTS = pytest.mark.parametrize("name", sorted(BOOKS))


@DIALECTS
@EXAMPLES
@given(data=st.data())
def test_what_is_written_is_read_back_with_its_digits(name: str, data: st.DataObject) -> None:
    book = BOOKS[name]
    said = data.draw(book.said)
    (frame,) = book.splitter().feed(book.encode(said))
    back = book.decode(frame)
    assert back == said
    if isinstance(back, Shown) and isinstance(said, Shown):
        assert str(back.value) == f"{said.value + 0:f}"  # a zero has no sign


@DIALECTS
@EXAMPLES
@given(data=st.binary(max_size=80))
def test_garbage_raises_only_protocol_errors(name: str, data: bytes) -> None:
    try:
        BOOKS[name].decode(data)
    except ProtocolError:
        return


@DIALECTS
@EXAMPLES
@given(data=st.data())
def test_a_damaged_frame_raises_only_protocol_errors(name: str, data: st.DataObject) -> None:
    book = BOOKS[name]
    (frame,) = book.splitter().feed(book.encode(data.draw(book.said)))
    damaged = bytearray(frame or b"\x00")
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        book.decode(bytes(damaged))
    except ProtocolError:
        return


@DIALECTS
@EXAMPLES
@given(data=st.data())
def test_a_lost_byte_never_gives_another_weight(name: str, data: st.DataObject) -> None:
    book = BOOKS[name]
    said = data.draw(book.said.filter(lambda each: isinstance(each, Shown)))
    (frame,) = book.splitter().feed(book.encode(said))
    at = data.draw(st.integers(0, len(frame) - 1))
    try:
        back = book.decode(frame[:at] + frame[at + 1 :])
    except ProtocolError:
        return
    assert not isinstance(back, Shown) or (isinstance(said, Shown) and back.value == said.value)


@DIALECTS
@EXAMPLES
@given(data=st.data(), cuts=st.lists(st.integers(1, 20), max_size=20))
def test_cutting_the_stream_anywhere_changes_nothing(
    name: str, data: st.DataObject, cuts: list[int]
) -> None:
    book = BOOKS[name]
    wanted = data.draw(st.lists(book.said, max_size=4))
    stream = b"".join(book.encode(said) for said in wanted)
    splitter = book.splitter()
    got: list[Said] = []
    for size in [*cuts, len(stream) + 1]:
        piece, stream = stream[:size], stream[size:]
        got += [book.decode(frame) for frame in splitter.feed(piece)]
        assert splitter.pending <= book.limit
    assert got == wanted


@DIALECTS
@EXAMPLES
@given(pieces=st.lists(st.binary(max_size=60), max_size=10))
def test_the_buffer_stays_bounded_whatever_comes(name: str, pieces: list[bytes]) -> None:
    book = BOOKS[name]
    splitter = book.splitter()
    for piece in pieces:
        try:
            splitter.feed(piece)
        except ProtocolError:
            continue
        finally:
            assert splitter.pending <= book.limit


@EXAMPLES
@given(st.integers(0, 99_999))
def test_tares_are_read_back_as_written(thousandths: int) -> None:
    value = Decimal(thousandths).scaleb(-3)
    for data, read in (
        (
            toledo8217.encode_preset(value, "kg").data,
            toledo8217.decode_preset(b"T%05d" % thousandths, "kg"),
        ),
        (
            ohaus.encode_preset(value, "kg").data,
            ohaus.decode_preset(f"{thousandths}T".encode(), "kg"),
        ),
        (and_.encode_preset(value, "g").data, and_.decode_preset(f"PT:{value:f}  g".encode())[0]),
    ):
        assert data
        assert read == value
