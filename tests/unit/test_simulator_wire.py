"""Faults of a wire and of a plan: each does what its name says, and nothing while it is off."""

import pytest

from simulators.base import FaultPlan
from simulators.wire import WIRE_FAULTS, Piece, Wire

MESSAGE = b"S S     100.00 g\r\n"


def arrived(wire: Wire, data: bytes = MESSAGE) -> bytes:
    return b"".join(piece.data for piece in wire.to_host(data))


def wire_with(*faults: str, times: int | None = None, seed: int = 1) -> Wire:
    wire = Wire(seed=seed)
    for fault in faults:
        wire.faults.switch(fault, on=True, times=times)
    return wire


# ---------------------------------------------------------------- fault plans


def test_a_fault_switched_on_happens_until_it_is_switched_off() -> None:
    plan = FaultPlan(["jam", "door"])
    assert plan.names == ("jam", "door")
    assert not plan.take("jam")
    plan.switch("jam", on=True)
    assert plan.active("jam")
    assert [plan.take("jam") for _ in range(3)] == [True, True, True]
    assert plan.state() == {"jam": True}
    plan.switch("jam", on=False)
    assert not plan.active("jam")
    assert plan.state() == {}


def test_a_counted_fault_happens_that_often() -> None:
    plan = FaultPlan(["jam"])
    plan.switch("jam", on=True, times=2)
    assert plan.state() == {"jam": 2}
    assert [plan.active("jam"), plan.take("jam"), plan.take("jam"), plan.take("jam")] == [
        True,
        True,
        True,
        False,
    ]


def test_an_unknown_fault_and_a_count_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="'fire' is not one of jam"):
        FaultPlan(["jam"]).switch("fire", on=True)
    with pytest.raises(ValueError, match=r"\(none\)"):
        FaultPlan([]).switch("fire", on=True)
    with pytest.raises(ValueError, match="at least 1"):
        FaultPlan(["jam"]).switch("jam", on=True, times=0)


# ---------------------------------------------------------------- wires


def test_a_clean_wire_changes_nothing() -> None:
    wire = Wire()
    assert wire.to_host(MESSAGE, 0.5) == [Piece(MESSAGE, 0.5)]
    assert wire.to_machine(b"S\r\n") == (b"S\r\n", b"")
    assert wire.to_host(b"") == []


def test_bytes_take_their_time_at_a_baud_rate() -> None:
    assert Wire(baud=9600).to_host(bytes(96)) == [Piece(bytes(96), 0.1)]
    assert Wire().byte_time_s(96) == 0.0


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("silence", b""),
        ("drop_last_byte", MESSAGE[:-1]),
        ("duplicate", MESSAGE + MESSAGE),
        ("high_bit", bytes(byte | 0x80 for byte in MESSAGE)),
        ("split", MESSAGE),
        ("slow", MESSAGE),
    ],
)
def test_a_fault_does_to_the_message_what_it_says(fault: str, expected: bytes) -> None:
    wire = wire_with(fault, times=1)
    assert arrived(wire) == expected
    assert arrived(wire) == MESSAGE


def test_split_sends_one_byte_at_a_time_and_slow_waits_before_the_first() -> None:
    pieces = wire_with("split", "slow").to_host(b"abc")
    assert pieces == [Piece(b"a", 1.0), Piece(b"b"), Piece(b"c")]


def test_stale_repeats_the_message_before() -> None:
    wire = wire_with("stale")
    assert arrived(wire, b"one") == b"one"
    assert arrived(wire, b"two") == b"onetwo"
    assert arrived(wire, b"three") == b"twothree"


def test_cut_mid_frame_sends_half_and_closes() -> None:
    assert wire_with("cut_mid_frame").to_host(b"abcdef") == [Piece(b"abc", close=True)]


def test_garbage_comes_before_the_message() -> None:
    data = arrived(wire_with("garbage"))
    assert data.endswith(MESSAGE)
    assert 1 <= len(data) - len(MESSAGE) <= 32


def test_the_second_half_of_the_message_before_may_come_first() -> None:
    wire = wire_with("stale_tail")
    assert arrived(wire, b"abcdef") == b"abcdef"
    assert arrived(wire, b"two") == b"deftwo"


def test_each_message_may_come_one_too_late() -> None:
    wire = wire_with("previous")
    assert [arrived(wire, each) for each in (b"one", b"two", b"three")] == [b"", b"one", b"two"]


def test_split_each_cuts_every_message_one_byte_further_on() -> None:
    wire = wire_with("split_each")
    cuts = [[piece.data for piece in wire.to_host(b"abc")] for _ in range(3)]
    assert cuts == [[b"a", b"bc"], [b"ab", b"c"], [b"a", b"bc"]]
    assert wire.to_host(b"x") == [Piece(b"x")]
    assert all(piece.delay_s > 0 for piece in wire.to_host(b"abc")[1:])


def test_joined_pieces_say_so() -> None:
    assert wire_with("join").to_host(b"abc") == [Piece(b"abc", joined=True)]


def test_a_flipped_bit_is_one_bit_and_with_parity_a_nul() -> None:
    for seed in range(50):
        data = arrived(wire_with("flip_bit", seed=seed))
        assert sum((a ^ b).bit_count() for a, b in zip(data, MESSAGE, strict=True)) == 1
    checked = Wire(seed=1, parity=True)
    checked.faults.switch("flip_bit", on=True)
    data = arrived(checked)
    assert [byte for byte, sent in zip(data, MESSAGE, strict=True) if byte != sent] == [0]


def test_a_greeting_is_garbage_only_while_that_is_on() -> None:
    wire = wire_with("garbage_at_connect", times=1)
    assert 1 <= len(wire.greeting()) <= 32
    assert wire.greeting() == b""


def test_at_half_the_baud_rate_two_bytes_are_sampled_as_one() -> None:
    """Worked by hand: U is 0101010101 on the line; a receiver at half the rate samples each 1."""
    wire = wire_with("wrong_baud")
    assert arrived(wire, b"UU") == b"\xff"
    assert wire.to_machine(b"\x00")[0] == b"\x00\x80"  # nine low bits at twice the rate
    wire.set("baud_ratio", "0.5")
    assert arrived(wire, b"\x00") == b"\x00\x80"


def test_at_the_right_baud_rate_nothing_changes_with_and_without_parity() -> None:
    for parity in (False, True):
        wire = Wire(parity=parity)
        wire.set("baud_ratio", "1")
        wire.faults.switch("wrong_baud", on=True)
        assert arrived(wire) == MESSAGE
        assert wire.to_machine(MESSAGE) == (MESSAGE, b"")


@pytest.mark.parametrize("fault", ["burst", "stuck"])
def test_a_burst_changes_one_run_of_bytes_and_not_the_length(fault: str) -> None:
    for seed in range(50):
        data = arrived(wire_with(fault, seed=seed))
        changed = [at for at, byte in enumerate(data) if byte != MESSAGE[at]]
        assert len(data) == len(MESSAGE)
        assert not changed or changed[-1] - changed[0] < 8


def test_stuck_bytes_are_one_and_the_same() -> None:
    for seed in range(50):
        data = arrived(wire_with("stuck", seed=seed))
        assert len({byte for at, byte in enumerate(data) if byte != MESSAGE[at]}) <= 1


def test_noise_flips_about_as_many_bits_as_its_rate_says_in_both_directions() -> None:
    wire = wire_with("noise")
    wire.set("noise_rate", "0.01")
    zeros = bytes(10_000)
    for data in (arrived(wire, zeros), wire.to_machine(zeros)[0]):
        flipped = sum(byte.bit_count() for byte in data)
        assert 650 < flipped < 950  # 800 expected, standard deviation 28


def test_with_parity_an_odd_number_of_flips_arrives_as_nul_and_an_even_one_unseen() -> None:
    wire = Wire(seed=1, parity=True)
    wire.set("noise_rate", "0.02")
    wire.faults.switch("noise", on=True)
    data = arrived(wire, b"\x55" * 20_000)
    assert all(byte == 0 or (byte ^ 0x55).bit_count() in (0, 1, 2, 4, 6) for byte in data)
    assert all(byte < 0x80 for byte in data)
    assert 2_000 < data.count(0) < 3_300  # an odd number of 8 flips: 13.7 %


def test_drop_loses_about_as_many_bytes_as_its_rate_says() -> None:
    wire = wire_with("drop")
    assert 9_700 < len(arrived(wire, bytes(10_000))) < 9_900
    assert 9_700 < len(wire.to_machine(bytes(10_000))[0]) < 9_900


def test_deaf_and_echo_concern_what_the_host_sends() -> None:
    assert wire_with("deaf").to_machine(b"S\r\n") == (b"", b"")
    assert wire_with("echo").to_machine(b"S\r\n") == (b"S\r\n", b"S\r\n")


def test_the_same_seed_gives_the_same_damage() -> None:
    faults = ("noise", "burst", "garbage", "drop")
    assert [arrived(wire_with(*faults, seed=7)) for _ in range(2)] == [
        arrived(wire_with(*faults, seed=7)) for _ in range(2)
    ]
    assert arrived(wire_with(*faults, seed=7)) != arrived(wire_with(*faults, seed=8))


def test_settings_are_read_back_in_the_state() -> None:
    wire = Wire(speed=50, baud=9600)
    wire.set("slow_s", "2.5")
    wire.faults.switch("cut", on=True, times=3)
    state = wire.state()
    assert (state["speed"], state["baud"], state["slow_s"]) == (50, 9600, 2.5)
    assert state["faults"] == {"cut": 3}
    assert set(wire.settings) <= set(state)
    assert wire.faults.names == WIRE_FAULTS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("colour", "1"),
        ("noise_rate", "1.5"),
        ("drop_rate", "-0.1"),
        ("slow_s", "nan"),
        ("slow_s", "inf"),
        ("slow_s", "soon"),
        ("speed", "0"),
        ("baud_ratio", "0"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}|{value}"):
        Wire().set(name, value)
