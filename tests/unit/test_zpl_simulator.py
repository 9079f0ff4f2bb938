"""The simulated printer by itself: what it answers, counts and loses."""

import pytest

from simulators.zpl import QUEUE_MAX, ZplModel, make

FORMAT = b"^XA^FO20,20^FDhello^FS^XZ"


def answers(model: ZplModel, data: bytes) -> bytes:
    model.received(1, data)
    return b"".join(out.data for out in model.outgoing())


def run(model: ZplModel, seconds: float) -> None:
    for _ in range(round(seconds / 0.02)):
        model.step(0.02)


def test_a_format_is_printed_once_and_counted() -> None:
    model = ZplModel(print_s=0.3)
    assert answers(model, FORMAT) == b""
    run(model, 0.28)
    assert model.state()["printed"] == []
    run(model, 0.1)
    assert model.state()["printed"] == ["^XA^FO20,20^FDhello^FS^XZ"]
    assert answers(model, b'! U1 getvar "odometer.total_label_count"\r\n') == b'"1001"\r\n'
    assert model.state()["paper"] == 999


def test_copies_are_printed_one_by_one() -> None:
    model = ZplModel(print_s=0.1)
    model.received(1, b"^XA^PQ3^FDx^FS^XZ")
    run(model, 1)
    assert len(model.printed) == 3


@pytest.mark.parametrize(
    "data",
    [b"\x02^FDx\x03", b"\x1eXA\x1eFDx\x1eXZ", b"noise^XA^FD^^x^XZ", b"^XAa^XA^FDx^XZ"],
)
def test_control_characters_stand_for_commands(data: bytes) -> None:
    model = ZplModel(print_s=0.1)
    model.received(1, data)
    run(model, 0.2)
    assert len(model.printed) == 1


def test_text_that_is_not_escaped_acts_as_a_command() -> None:
    model = ZplModel(print_s=0.1)
    model.received(1, b"^XA^FDname ^XZ^XA^FDsecond ^XZ ~JA^FS^XZ")
    run(model, 1)
    assert model.printed == ()


def test_pause_and_start_keys_stop_and_start() -> None:
    model = ZplModel(print_s=0.1)
    model.received(1, b"~PP" + FORMAT)
    run(model, 1)
    assert model.printed == ()
    model.received(1, b"~PS")
    run(model, 0.2)
    assert len(model.printed) == 1


def test_extended_status_holds_the_error_mask() -> None:
    model = ZplModel()
    assert b"ERRORS: 0 00000000 00000000" in answers(model, b"~HQES")
    for fault in ("paper_out", "head_open", "paused"):
        model.faults.switch(fault, on=True)
    assert b"ERRORS: 1 00000000 00010005" in answers(model, b"~HQES")


def test_a_full_buffer_says_so_and_loses_what_comes() -> None:
    model = ZplModel()
    model.received(1, FORMAT * (QUEUE_MAX + 10))
    assert model.state()["formats_waiting"] == QUEUE_MAX
    assert b"030,0,0,0406,050,1," in answers(model, b"~HS")


def test_an_endless_format_is_dropped() -> None:
    model = ZplModel(print_s=0.1)
    model.received(1, b"^XA^FD" + b"x" * 70_000 + b"^XZ" + FORMAT)
    run(model, 0.2)
    assert model.printed == ("^XA^FO20,20^FDhello^FS^XZ",)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (b'! U1 getvar "device.unknown"\r\n', b'"?"\r\n'),
        (b"! U1 getvar nothing\r\n", b""),
        (b"x" * 1000 + b"\r\n", b""),
        (b"~ZZ", b""),
    ],
)
def test_what_it_does_not_know(question: bytes, answer: bytes) -> None:
    assert answers(ZplModel(), question) == answer


@pytest.mark.parametrize(
    ("name", "value"),
    [("print_s", "0"), ("print_s", "nan"), ("paper", "-1"), ("paper", "x"), ("speed", "1")],
)
def test_a_bad_setting_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        make(1).set(name, value)


def test_settings_change_the_printer() -> None:
    model = make(1)
    assert model.state()["paper"] == 500
    model.set("print_s", "0.05")
    model.set("odometer", "7")
    model.set("queue", "2")
    run(model, 0.2)
    assert model.state()["odometer"] == 9
    assert set(model.settings) == {"paper", "print_s", "peel", "take", "queue", "odometer"}
