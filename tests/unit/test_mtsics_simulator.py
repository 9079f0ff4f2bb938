"""The simulated balance by itself: physics, protocol and faults, without a wire."""

import pytest

from simulators.mtsics import MtSicsModel, make

HOST = 1


def balance(load: str = "0", **arguments: str) -> MtSicsModel:
    model = MtSicsModel(1, **arguments)
    model.connected(HOST)
    if load != "0":
        model.set("load_g", load)
        settle(model)
    return model


def settle(model: MtSicsModel, seconds: float = 5.0) -> None:
    for _ in range(round(seconds / 0.02)):
        model.step(0.02)


def asked(model: MtSicsModel, command: str) -> list[str]:
    model.received(HOST, command.encode("latin-1") + b"\r\n")
    return heard(model)


def heard(model: MtSicsModel) -> list[str]:
    return [out.data.decode().removesuffix("\r\n") for out in model.outgoing()]


def test_a_load_is_shown_right_aligned_with_the_digits_of_the_balance() -> None:
    assert asked(balance("12.5"), "S") == ["S S     12.500 g"]
    assert asked(balance("12.5", readability_g="0.01", capacity_g="4100"), "S") == [
        "S S      12.50 g"
    ]


def test_a_load_moves_first_and_then_rests() -> None:
    model = balance()
    model.set("load_g", "100")
    settle(model, 0.3)
    [moving] = asked(model, "SI")
    assert moving.startswith("S D ")
    assert 0 < float(moving[4:-2]) < 100
    settle(model)
    assert asked(model, "SI") == ["S S    100.000 g"]


def test_s_waits_for_stability_and_is_refused_after_its_time() -> None:
    model = balance()
    model.set("load_g", "100")
    settle(model, 0.2)
    assert asked(model, "S") == []
    settle(model)
    assert heard(model) == ["S S    100.000 g"]
    model.faults.switch("motion", on=True)
    settle(model, 1.0)
    assert asked(model, "S") == []
    settle(model, 16.0)
    assert heard(model) == ["S I"]


def test_another_command_while_one_waits_is_refused_and_a_reset_ends_both() -> None:
    model = balance()
    model.set("load_g", "100")
    settle(model, 0.2)
    assert asked(model, "T") == []
    assert asked(model, "SI") == ["S I"]
    assert asked(model, "TA") == ["TA I"]
    assert asked(model, "@") == ['I4 A "B123456789"']
    settle(model)
    assert heard(model) == []


def test_tare_and_zero_change_what_net_means() -> None:
    model = balance("50")
    assert asked(model, "T") == ["T S     50.000 g"]
    assert asked(model, "TA") == ["TA A     50.000 g"]
    model.set("load_g", "62.5")
    settle(model)
    assert asked(model, "S") == ["S S     12.500 g"]
    assert asked(model, "TAC") == ["TAC A"]
    assert asked(model, "S") == ["S S     62.500 g"]
    assert asked(model, "TA 10.0004 g") == ["TA A     10.000 g"]
    assert asked(model, "S") == ["S S     52.500 g"]
    assert asked(model, "TI") == ["TI S     62.500 g"]
    assert asked(model, "Z") == ["Z +"]
    model.set("load_g", "3")
    settle(model)
    assert asked(model, "ZI") == ["ZI S"]
    assert asked(model, "S") == ["S S      0.000 g"]
    model.set("load_g", "1")
    settle(model)
    assert asked(model, "S") == ["S S     -2.000 g"]
    assert asked(model, "T") == ["T -"]


@pytest.mark.parametrize(
    "command", ["TA 10 kg", "TA x g", "TA -1 g", "TA 1e1 g", "TA 999 g", "TA 1"]
)
def test_a_tare_that_cannot_be_is_a_wrong_parameter(command: str) -> None:
    assert asked(balance(), command) == ["TA L"]


def test_a_load_below_the_pan_is_underload_and_one_above_capacity_overload() -> None:
    model = balance("320.005")
    assert asked(model, "S") == ["S S    320.005 g"]
    for load, refusal in (("320.02", "+"), ("-7", "-")):
        model.set("load_g", load)
        settle(model)
        assert asked(model, "SI") == [f"S {refusal}"]
        assert asked(model, "S") == [f"S {refusal}"]
        assert asked(model, "T") == [f"T {refusal}"]
        assert asked(model, "Z") == [f"Z {refusal}"]


def test_a_negative_load_outside_the_zero_range_is_not_zeroed() -> None:
    model = balance("-6.41")
    model.set("noise_d", "0")
    assert asked(model, "Z") == ["Z -"]


def test_identification_is_as_the_manual_prints_it() -> None:
    model = balance(serial="B987654321")
    assert asked(model, "I1") == ['I1 A "012" "2.30" "2.22" "2.33" ""']
    assert asked(model, "I2") == ['I2 A "SIM Balance 320.000 g"']
    assert asked(model, "I3") == ['I3 A "1.00 0.0.0.0"']
    assert asked(model, "I4") == ['I4 A "B987654321"']
    assert asked(model, "I5") == ['I5 A "00000000A"']
    listing = asked(model, "I0")
    assert listing[0] == 'I0 B 0 "I0"'
    assert listing[-1] == 'I0 A 3 "M21"'
    assert all(line.startswith("I0 B ") for line in listing[:-1])
    assert 'I0 B 1 "TAC"' in listing


def test_sir_repeats_until_another_command_ends_it() -> None:
    model = balance("12.5")
    assert asked(model, "SIR") == ["S S     12.500 g"]
    for ending, answer in (
        ("SI", ["S S     12.500 g"]),
        ("S", ["S S     12.500 g"]),
        ("@", ['I4 A "B123456789"']),
    ):
        model.received(HOST, b"SIR\r\n")
        heard(model)
        settle(model, 0.5)
        assert heard(model) == ["S S     12.500 g"] * 5
        assert asked(model, ending) == answer
        settle(model, 0.5)
        assert heard(model) == []


def test_a_host_that_hangs_up_is_forgotten_with_its_stream() -> None:
    model = balance("12.5")
    asked(model, "SIR")
    model.disconnected(HOST)
    settle(model, 0.5)
    assert heard(model) == []


@pytest.mark.parametrize(
    "line", ["QQ", "s", "S 1", "Z now", "SC 100", 'D "HELLO"', "TA  10 g", "S "]
)
def test_what_is_no_command_here_is_a_syntax_error(line: str) -> None:
    assert asked(balance(), line) == ["ES"]


def test_an_overlong_line_is_a_syntax_error_and_the_next_command_is_heard() -> None:
    assert asked(balance(), "x" * 300 + "\r\nTAC") == ["ES", "TAC A"]


def test_a_byte_beyond_ascii_is_a_transmission_error() -> None:
    assert asked(balance(), "S\xff") == ["ET"]


def test_the_host_unit_can_be_set_to_grams_only() -> None:
    assert asked(balance(), "M21 0 0") == ["M21 A"]
    assert asked(balance(), "M21 0 1") == ["M21 L"]


def test_commands_may_come_byte_by_byte() -> None:
    model = balance("12.5")
    for byte in b"SI\r\n":
        model.received(HOST, bytes([byte]))
    assert heard(model) == ["S S     12.500 g"]


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("overload", "S +"),
        ("underload", "S -"),
        ("hardware_error", "S S Error 10b"),
        ("busy", "S I"),
    ],
)
def test_a_fault_is_a_status_once_or_as_long_as_it_is_on(fault: str, answer: str) -> None:
    model = balance("12.5")
    model.faults.switch(fault, on=True)
    assert asked(model, "SI") == [answer]
    assert asked(model, "S") == [answer]
    model.faults.switch(fault, on=False)
    assert asked(model, "S") == ["S S     12.500 g"]


def test_a_reset_keeps_the_tare_or_clears_it_as_it_is_set() -> None:
    model = balance("12.5")
    asked(model, "T")
    asked(model, "@")
    assert asked(model, "TA") == ["TA A     12.500 g"]
    model.set("reset_clears_tare", "true")
    asked(model, "@")
    assert asked(model, "TA") == ["TA A      0.000 g"]


def test_the_state_says_what_lies_on_the_pan_and_what_is_shown() -> None:
    model = balance("12.5")
    asked(model, "T")
    model.faults.switch("motion", on=True, times=2)
    assert model.state() == {
        "load_g": 12.5,
        "net_g": "0.000",
        "tare_g": "12.500",
        "stable": True,
        "display": "g",
        "piece_g": "0.1250",
        "faults": {"motion": 2},
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("load_g", "nan"),
        ("load_g", "heavy"),
        ("noise_d", "-1"),
        ("tau_s", "0"),
        ("serial", 'B"1'),
        ("serial", "B\n1"),
        ("colour", "red"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}|{value}"):
        balance().set(name, value)


def test_the_same_seed_gives_the_same_balance() -> None:
    def play(seed: int) -> list[bytes]:
        model = make(seed)
        model.connected(HOST)
        model.set("noise_d", "1")
        model.set("load_g", "12.3456")
        lines = []
        for _ in range(50):
            model.step(0.05)
            model.received(HOST, b"SI\r\n")
            lines += [out.data for out in model.outgoing()]
        return lines

    assert play(7) == play(7)
    assert play(7) != play(8)


def test_every_answer_is_a_line_that_the_codec_writes() -> None:
    model = balance("12.5")
    model.received(HOST, b"S\r\nI4\r\nQQ\r\nTA\r\n")
    assert [out.data for out in model.outgoing()] == [
        b"S S     12.500 g\r\n",
        b'I4 A "B123456789"\r\n',
        b"ES\r\n",
        b"TA A      0.000 g\r\n",
    ]
