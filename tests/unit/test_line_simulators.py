"""The simulated scales of the serial dialects by themselves, without a wire."""

from collections.abc import Callable

import pytest

from simulators import and_, nci, ohaus, sbi, toledo8217
from simulators.linescale import LineScaleModel

HOST = 1
MAKERS = {
    "and": and_.make,
    "nci": nci.make,
    "ohaus": ohaus.make,
    "sbi": sbi.make,
    "toledo8217": toledo8217.make,
}


def scale(make: Callable[[int], LineScaleModel], load: str = "0") -> LineScaleModel:
    model = make(1)
    model.connected(HOST)
    model.set("load", load)
    settle(model)
    return model


def settle(model: LineScaleModel, seconds: float = 5.0) -> None:
    for _ in range(round(seconds / 0.02)):
        model.step(0.02)


def asked(model: LineScaleModel, data: bytes) -> bytes:
    model.received(HOST, data)
    return b"".join(out.data for out in model.outgoing())


@pytest.mark.parametrize(
    ("name", "load", "question", "answer"),
    [
        ("toledo8217", "1.245", b"W", b"\x0201.245\r"),
        ("toledo8217", "1.245", b"Z", b"\x02?H\r"),  # outside of the zero range, so not taken
        ("toledo8217", "0", b"Z", b"\x02?P\r"),
        ("toledo8217", "0", b"AB", b"\x02\r\x02?@\r"),
        ("toledo8217", "0", b"E?F", b"\x02E\r?\x02F\r"),
        ("toledo8217", "1.245", b"T01000W", b"\x02?H\r\x0200.245N\r"),
        ("nci", "12.5", b"W\r", b"\n12.500kg\r\npp0\r\x03"),
        ("nci", "12.5", b"S\r", b"\npp0\r\x03"),
        ("nci", "12.5", b"x\r", b"\n?\r\x03"),
        ("ohaus", "12.5", b"IP\r\n", b"   12.500 g     G\r\n"),
        ("ohaus", "12.5", b"2.5T\r\nIP\r\n", b"   10.000 g     NET\r\n"),
        ("ohaus", "12.5", b"PSN\r\nPV\r\n", b"B123456789\r\nSIM 1.00\r\n"),
        ("ohaus", "12.5", b"nonsense\r\n", b"ES\r\n"),
        ("and", "12.5", b"Q\r\n", b"ST,+0012.500  g\r\n"),
        ("and", "12.5", b"PT:2.5  g\r\n?PT\r\nSI\r\n", b"PT,+0002.500  g\r\nST,+0010.000  g\r\n"),
        ("and", "12.5", b"PT:2.5 kg\r\nSI\r\n", b"ST,+0012.500  g\r\n"),
        ("and", "12.5", b"?TN\r\n?SN\r\n", b"TN,SIM-320\r\nSN,B123456789\r\n"),
        ("sbi", "12.5", b"\x1bP\r\n", b"+   12.500 g  \r\n"),
        ("sbi", "12.5", b"\x1bU\r\n\x1bP\r\n", b"     0.000 g  \r\n"),
        ("sbi", "12.5", b"\x1bx1_\r\n", b"SIM Balance   \r\n"),
    ],
)
def test_a_scale_answers_as_its_manual_says(
    name: str, load: str, question: bytes, answer: bytes
) -> None:
    assert asked(scale(MAKERS[name], load), question) == answer


@pytest.mark.parametrize(
    ("name", "question", "answer"),
    [
        ("toledo8217", b"W", b"\x02?I\r"),
        ("nci", b"W\r", b"\nqp0\r\x03"),
        ("ohaus", b"IP\r\n", b"?"),
        ("and", b"SI\r\n", b"US,"),
        ("sbi", b"\x1bP\r\n", b"    \r\n"),
    ],
)
def test_a_scale_that_moves_says_so(name: str, question: bytes, answer: bytes) -> None:
    model = scale(MAKERS[name])
    model.set("load", "10")
    settle(model, 0.3)
    assert answer in asked(model, question)


def test_a_tare_without_digits_is_taken_after_its_time() -> None:
    model = scale(toledo8217.make, "1.245")
    assert asked(model, b"T") == b""
    settle(model, 0.2)
    assert asked(model, b"W") == b"\x02?H\r\x0200.000N\r"
    assert asked(model, b"T12W") == b"\x02?H\r\x0200.000N\r"  # too few digits: not understood
    assert asked(model, b"CW") == b"\x02?H\r\x0201.245\r"


def test_an_and_scale_acknowledges_when_it_is_set_to() -> None:
    model = scale(and_.make)
    assert asked(model, b"Z\r\nnonsense\r\n") == b""
    model.set("acknowledge", "1")
    assert asked(model, b"Z\r\n") == b"\x06\r\n"
    assert asked(model, b"nonsense\r\n") == b"EC,E01\r\n"
    model.faults.switch("busy", on=True)
    assert asked(model, b"SI\r\n") == b"EC,E02\r\n"


def test_a_line_too_long_is_an_unknown_command() -> None:
    assert asked(scale(ohaus.make), b"x" * 200 + b"\r\nPV\r\n") == b"ES\r\nSIM 1.00\r\n"


def test_a_failed_self_test_silences_weight_and_zero() -> None:
    model = scale(toledo8217.make)
    model.faults.switch("self_test", on=True)
    assert asked(model, b"WZ") == b""
    assert asked(model, b"AB") == b"\x02\r\x02?H\r"


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_settings_and_state_are_told_and_bad_ones_refused(name: str) -> None:
    model = scale(MAKERS[name], "5")
    assert model.state()["net"] == "5.000"
    for setting, value in (("speed", "1"), ("serial", "\n"), ("load", "inf"), ("tau_s", "0")):
        with pytest.raises(ValueError, match=setting):
            model.set(setting, value)
    assert {"load", "serial", "noise_d"} <= set(model.settings)
    model.disconnected(HOST)
