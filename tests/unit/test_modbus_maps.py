"""Map files: what the shipped ones say; every mistake is named with map, key and numbers."""

from decimal import Decimal
from pathlib import Path

import pytest

from drivers.base import DeviceSpec, RawMessage
from drivers.errors import ProtocolError
from drivers.modbus.codec import Framing
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.maps import SIZE_MAX, load_map, parse_map, shipped
from drivers.modbus.regmap import Field, Kind, Order, Value

MAP = """
source = "a manual"
framing = "rtu"
read_function = 4
[block]
address = 10
count = 5
longest = 9
[values]
net = { address = 10, type = "s16" }
gross = { address = 11, type = "u32", word_order = "low_first" }
[scale]
decimals = 2
[unit]
names = ["g"]
[status]
stable = { address = 13, bit = 0 }
net = { address = 13, bit = 1 }
overload = { address = 13, bit = 2 }
fault = { cell = { address = 13, bit = 3 } }
[command]
handshake = "command_register"
write_function = 6
address = 20
reply = "idle"
codes = { tare = 2 }
"""


def changed(old: str, new: str) -> bytes:
    assert old in MAP
    return MAP.replace(old, new, 1).encode()


def test_a_wtx_is_read_as_its_maker_prints_it() -> None:
    it = load_map("wtx120")
    image = it.image((0, 12345, 0, 22345, 0, 0x00A0))
    assert str(image.net) == "123.45"
    assert str(image.gross) == "223.45"
    assert image.shown == Decimal("223.45"), "bit 7 of register 4 says gross"
    assert (image.unit, image.stable, image.step) == ("g", True, Decimal("0.01"))


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (0x0001, "weight_error"),
        (0x0002, "scale_alarm"),
        (0x0004, "underload"),
        (0x0008, "overload"),
        (0x000C, "overload"),
        (0x0010, "moving"),
        (0x0080, "net"),
    ],
)
def test_each_status_bit_of_a_wtx_has_its_meaning(status: int, told: str) -> None:
    image = load_map("wtx120").image((0xFFFF, 0xFFFF, 0, 5, status, 0x0030))
    assert str(image.net) == "-0.001"
    assert image.unit == "kg"
    seen = {
        *image.faults,
        *(["underload"] if image.underload else []),
        *(["overload"] if image.overload else []),
        *([] if image.stable else ["moving"]),
        *(["net"] if image.net_mode else []),
    }
    assert seen == {told}


@pytest.mark.parametrize(
    ("status", "net", "division", "shown"),
    [
        (0x0C00, (0, 2345), 8, "234.5"),
        (0x0D00, (0, 2345), 10, "-23.45"),
        (0x0D00, (0xFFFF, 0xF6D7), 10, "-23.45"),
        (0x0C00, (0, 2345), 0, "2345"),
        (0x0C00, (0, 2345), 6, "2345"),
        (0x0C00, (0, 2345), 18, "0.2345"),
    ],
)
def test_a_laumas_weight_has_the_sign_of_its_status_and_the_decimals_of_its_division(
    status: int, net: tuple[int, int], division: int, shown: str
) -> None:
    image = load_map("laumas").image((status, 0, 12345, *net, 0, 0, 0x0100 | division))
    assert str(image.shown) == shown
    assert image.unit == "g"


@pytest.mark.parametrize(
    ("registers", "text"),
    [
        ((0x0C00, 0, 0, 0xFFFF, 0xFFFF, 0, 0, 0x010A), "its sign flag is not"),
        ((0x0C00, 0, 0, 0x000F, 0x4240, 0, 0, 0x010A), "1000000 is beyond 999999"),
        ((0x0C00, 0, 0, 0, 5, 0, 0, 0x0113), "division 19 is not known"),
        ((0x0C00, 0, 0, 0, 5, 0, 0, 0x040A), "unit 4 is not known"),
    ],
)
def test_a_laumas_register_that_cannot_be_is_a_protocol_error(
    registers: tuple[int, ...], text: str
) -> None:
    with pytest.raises(ProtocolError, match=text):
        load_map("laumas").image(registers)


@pytest.mark.parametrize(
    ("kind", "order", "registers", "number"),
    [
        (Kind.U16, Order.HIGH_FIRST, (0xFFFE,), "65.534"),
        (Kind.S16, Order.HIGH_FIRST, (0xFFFE,), "-0.002"),
        (Kind.U32, Order.HIGH_FIRST, (0xFFFF, 0xFFFE), "4294967.294"),
        (Kind.S32, Order.HIGH_FIRST, (0xFFFF, 0xFFFE), "-0.002"),
        (Kind.S32, Order.LOW_FIRST, (0x0001, 0x0002), "131.073"),
        (Kind.FLOAT32, Order.HIGH_FIRST, (0x42F6, 0xE979), "123.456"),
        (Kind.FLOAT32, Order.LOW_FIRST, (0xE979, 0xC2F6), "-123.456"),
    ],
)
def test_each_type_and_word_order_is_read_and_written(
    kind: Kind, order: Order, registers: tuple[int, ...], number: str
) -> None:
    value = Value(7, kind, order)
    given = dict(enumerate(registers, start=7))
    assert str(value.get(given, 3)) == number
    back: dict[int, int] = {}
    value.put(back, int(Decimal(number).scaleb(3)), 3)
    assert back == given


def test_a_float_that_is_no_number_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="nan"):
        Value(0, Kind.FLOAT32, Order.HIGH_FIRST).get({0: 0x7FC0, 1: 0}, 2)


def test_a_map_of_ones_own_is_taken_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(MAP)
    it = load_map(str(path))
    assert (it.name, it.framing, it.counts, it.last) == ("bench", Framing.RTU, (5, 6, 7, 8, 9), 18)
    image = it.image((0xFFFF, 2, 1, 3, 0))
    assert (str(image.net), str(image.gross), image.net_mode) == ("-0.01", "655.38", True)
    assert it.commands is not None
    assert it.commands.reply_address == 20


def test_every_shipped_map_names_its_documents_and_is_sound() -> None:
    assert shipped() == ("laumas", "wtx120")
    for name in shipped():
        assert load_map(name).name == name


WRONG = [
    ('type = "s16"', 'type = "s24"', "values.net.type: 's24' is not one of u16, s16, u32"),
    ("stable = {", "steady = {", "status.stable or moving: status bit is missing"),
    ("overload =", "over =", "status.overload: status bit is missing"),
    ("fault = { cell = { address = 13, bit = 3 } }", "fault = {}", "status.fault: status bit"),
    (
        "net = { address = 10",
        "net = { address = 12",
        "values.gross: registers 11 to 12 overlaps values.net, registers 12 to 12",
    ),
    (
        "overload = { address = 13, bit = 2",
        "overload = { address = 13, bit = 1",
        "status.overload: register 13 bit 1 overlaps status.net, register 13 bit 1",
    ),
    (
        "overload = { address = 13, bit = 2",
        "overload = { address = 12, bit = 2",
        "status.overload: register 12 bit 2 overlaps values.gross, registers 11 to 12",
    ),
    (
        "stable = { address = 13, bit = 0",
        "stable = { address = 15, bit = 0",
        "status.stable: register 15 bit 0 is outside of the block, registers 10 to 14",
    ),
    (
        "gross = { address = 11",
        "gross = { address = 14",
        "values.gross: registers 14 to 15 is outs",
    ),
    ("longest = 9", "longest = 6", "block.longest: 6 leaves 2 lengths of a read, RTU needs 3"),
    ("read_function = 4", "read_function = 6", "read_function: a whole number 3 to 4"),
    (
        "write_function = 6",
        "write_function = 5",
        "command.write_function: one of [6, 16] was expected",
    ),
    ('framing = "rtu"', 'framing = "ascii"', "framing: 'ascii' is not one of tcp, rtu"),
    ('handshake = "command_register"', 'handshake = "toggle_bit"', "command.done: is missing"),
    ('handshake = "command_register"', 'handshake = "none"', "command.reply: is not known"),
    ("tare = 2", "tare = 0", "command.codes.tare: a whole number 1 to 65535"),
    ("tare = 2", "tear = 2", "command.codes.tear: is not known"),
    ('source = "a manual"', "", "source: is missing"),
    ("count = 5", "count = true", "block.count: a whole number 1 to 125 was expected, not True"),
    ('names = ["g"]', 'names = ["g", "kg"]', "unit.names: 2 names and no field"),
    ('names = ["g"]', 'names = [""]', "unit.names: a text was expected, not ''"),
    ('names = ["g"]', "names = []", "unit.names: a list was expected"),
    ('source = "a manual"', "source = 7", "source: a text was expected, not 7"),
    ("decimals = 2", "", "scale.field: is missing"),
    (
        "decimals = 2",
        'field = { address = 14, bit = 0 }\nsteps = ["none"]',
        "scale.steps: a number above 0 was expected, not 'none'",
    ),
    ("[values]", "values = 3\n[valves]", "block.values: is not known"),
    ("reply =", "gross_toggles = 1\nreply =", "command.gross_toggles: true or false"),
    ("bit = 3", "bit = 3, equals = [2]", "status.fault.cell.equals: a whole number 0 to 1"),
    ("[block]", "block = 1\n[blocks]", "block: a table was expected, not 1"),
    ("[block]", "[block", "not TOML"),
]


@pytest.mark.parametrize(("old", "new", "text"), WRONG, ids=[text for _, _, text in WRONG])
def test_what_is_wrong_with_a_map_is_named(old: str, new: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"^map mine: ") as raised:
        parse_map("mine", changed(old, new))
    assert str(raised.value).startswith(f"map mine: {text}")


def test_different_numbers_of_one_field_are_no_overlap() -> None:
    shared = "overload = { address = 13, bit = 4, width = 2, equals = [2, 3] }\n"
    under = "underload = { address = 13, bit = 4, width = 2, equals = [1] }\n"
    old = "overload = { address = 13, bit = 2 }\n"
    parse_map("mine", changed(old, shared + under))
    with pytest.raises(ValueError, match="underload: register 13 bits 4 to 5 overlaps"):
        parse_map("mine", changed(old, shared + under.replace("[1]", "[1, 2]")))


def test_a_field_is_written_without_touching_its_neighbours() -> None:
    registers = {3: 0xFFFF}
    Field(3, 4, 3).put(registers, 2)
    assert registers == {3: 0xFFAF}
    assert Field(3, 4, 3).get(registers) == 2


# ---------------------------------------------------------------- the driver's own check


async def nowhere(message: RawMessage) -> None:
    del message


def test_a_map_that_is_not_there_or_too_long_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'wtx' is not one of laumas, wtx120, nor a path"):
        load_map("wtx")
    with pytest.raises(ValueError, match=r"gone\.toml: No such file"):
        load_map(str(tmp_path / "gone.toml"))
    long = tmp_path / "long.toml"
    long.write_bytes(b"#" * (SIZE_MAX + 1))
    with pytest.raises(ValueError, match=f"longer than {SIZE_MAX} bytes"):
        load_map(str(long))


@pytest.mark.parametrize(
    ("address", "options", "text"),
    [
        ("tcp://127.0.0.1:502", {}, "map '' is not one of"),
        ("tcp://127.0.0.1:502", {"map": 3}, "option 'map': a string was expected"),
        ("tcp://127.0.0.1:502", {"map": "wtx120", "maps": 1}, "option 'maps' is not known"),
        ("tcp://127.0.0.1", {"map": "wtx120"}, "//HOST:PORT expected"),
        ("serial:/dev/ttyS0", {"map": "laumas", "framing": "tcp"}, "needs an address tcp://"),
        ("tcp://127.0.0.1:502", {"map": "laumas", "framing": "ascii"}, "is not one of tcp, rtu"),
        ("serial:/dev/ttyS0", {"map": "laumas", "unit_id": 0}, "1 to 247 was expected on rtu"),
        ("serial:/dev/ttyS0", {"map": "wtx120"}, "'unit_id': 1 to 247 was expected on rtu, not 0"),
        ("tcp://127.0.0.1:502", {"map": "wtx120", "unit_id": 256}, "0 to 255 was expected"),
        (
            "tcp://127.0.0.1:502",
            {"map": "wtx120", "serial": "7"},
            "map wtx120 has no serial number",
        ),
        ("tcp://127.0.0.1:502", {"map": "wtx120", "unit": "oz"}, "'oz' is not one of"),
        ("tcp://127.0.0.1:502", {"map": "wtx120", "agreeing_reads": 2}, "0 or 3 to 10"),
        ("serial:/dev/ttyS0", {"map": "laumas", "agreeing_reads": 1}, "0 or 2 to 10"),
        ("tcp://127.0.0.1:502", {"map": "wtx120", "line_timeout_s": 0}, "seconds above 0"),
        ("tcp://127.0.0.1:502", {"map": "wtx120", "plausible_max": "much"}, "a weight was"),
        ("tcp://127.0.0.1:502", {"map": "wtx120", "plausible_max": True}, "a weight was"),
        ("tcp://127.0.0.1:502", {"map": "wtx120", "plausible_max": -1}, "must be above 0"),
        ("tcp://127.0.0.1:502", {"map": "wtx120", "plausible_min": 1}, "needs 'plausible_max'"),
    ],
)
def test_what_is_wrong_with_an_option_is_named(
    address: str, options: dict[str, str | int | float | bool], text: str
) -> None:
    with pytest.raises(ValueError, match=text.replace("(", r"\(")):
        ModbusDriver(DeviceSpec("scale1", address, options), nowhere)


def test_a_map_for_tcp_with_one_length_of_reads_is_refused_on_rtu(tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    path.write_bytes(
        changed('framing = "rtu"', 'framing = "tcp"').replace(b"longest = 9", b"longest = 5")
    )
    ModbusDriver(DeviceSpec("scale1", "tcp://127.0.0.1:502", {"map": str(path)}), nowhere)
    with pytest.raises(ValueError, match="longest: 5 leaves 1 lengths of a read, RTU needs 3"):
        ModbusDriver(DeviceSpec("scale1", "serial:/dev/ttyS0", {"map": str(path)}), nowhere)
