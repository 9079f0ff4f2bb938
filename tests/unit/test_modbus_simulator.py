"""The simulated scale on Modbus, without a wire."""

import pytest

from drivers.modbus.codec import Envelope, Framing
from drivers.modbus.maps import load_map
from simulators.modbus import QUIET_S, ModbusScaleModel, make, make_laumas

RTU = Envelope(Framing.RTU, 1)


def asked(model: ModbusScaleModel, frame: bytes) -> list[bytes]:
    model.received(1, frame)
    return [out.data for out in model.outgoing()]


def rtu(model: ModbusScaleModel, pdu: str) -> str:
    [frame] = asked(model, RTU.wrap(bytes.fromhex(pdu)))
    return frame[1:-2].hex(" ").upper()


@pytest.fixture
def laumas() -> ModbusScaleModel:
    model = make_laumas(1)
    model.connected(1)
    return model


def test_only_registers_and_functions_of_the_map_are_answered(laumas: ModbusScaleModel) -> None:
    assert rtu(laumas, "03 00 03 00 01") == "03 02 30 39", "serial number 12345"
    assert rtu(laumas, "03 00 12 00 01") == "83 02", "beyond the map"
    assert rtu(laumas, "04 00 06 00 01") == "84 01", "input registers"
    assert rtu(laumas, "01 00 06 00 01") == "81 01", "coils"
    assert rtu(laumas, "10 00 06 00 01 02 00 07") == "90 02", "only commands are written"
    assert rtu(laumas, "10 00 05 00 02 04 00 07 00 00") == "90 02"


def test_another_address_and_half_a_request_are_not_answered(laumas: ModbusScaleModel) -> None:
    other = Envelope(Framing.RTU, 2).wrap(bytes.fromhex("03 00 03 00 01"))
    assert asked(laumas, other) == []
    whole = RTU.wrap(bytes.fromhex("03 00 03 00 01"))
    assert asked(laumas, whole[:5]) == []
    laumas.step(QUIET_S * 1.1)
    assert asked(laumas, whole[5:]) == [], "the first half was forgotten"
    assert len(asked(laumas, whole)) == 1
    laumas.disconnected(1)


def test_a_load_has_its_registers(laumas: ModbusScaleModel) -> None:
    laumas.set("load_g", "-2.5")
    for _ in range(50):
        laumas.step(0.1)
    registers = rtu(laumas, "03 00 06 00 08")
    assert registers == "03 10 09 80 00 00 09 C4 00 00 09 C4 00 00 00 00 01 0F", "sign flags"
    assert laumas.state()["net_g"] == "-2.500"
    laumas.set("noise_d", "0")
    laumas.set("serial", "777")
    assert rtu(laumas, "03 00 03 00 01") == "03 02 03 09"


def test_a_tcp_request_of_any_unit_is_answered_with_its_number() -> None:
    model = make(1)
    model.connected(7)
    model.received(7, bytes.fromhex("12 34 00 00 00 06 FF 03 00 05 00 01"))
    [out] = model.outgoing()
    assert out.session == 7
    assert out.data == bytes.fromhex("12 34 00 00 00 05 FF 03 02 00 B0")
    model.received(7, bytes.fromhex("12 35 00 00 00 06 FF 06 00 00 00 01"))
    assert [each.data[7] for each in model.outgoing()] == [6]
    assert model.state()["command"] == 1


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("serial", "70000", "does not fit into a register"),
        ("serial", "B1", "does not fit into a register"),
        ("load", "1", "'load' is not one of load_g, noise_d, tau_s, serial"),
        ("tau_s", "0", "must be above 0"),
    ],
)
def test_a_setting_that_cannot_be_is_named(name: str, value: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make(1).set(name, value)


def test_a_machine_without_an_underload_bit_has_no_such_fault() -> None:
    assert "underload" in make(1).faults.names
    assert "underload" not in make_laumas(1).faults.names


def test_the_same_seed_gives_the_same_registers() -> None:
    seen = []
    for _ in range(2):
        model = ModbusScaleModel(5, registers=load_map("wtx120"))
        model.connected(1)
        model.set("load_g", "9.9995")
        for _ in range(30):
            model.step(0.1)
        seen.append(asked(model, bytes.fromhex("00 01 00 00 00 06 00 03 00 00 00 06")))
    assert seen[0] == seen[1]
