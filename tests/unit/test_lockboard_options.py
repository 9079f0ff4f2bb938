"""Options of drawers on lock boards, and what the book of drawers and the simulator refuse."""

import pytest

from drivers.base import DrawerState
from drivers.drawers import REQUESTS_MAX, DrawerBook, Limits
from drivers.lockboard.options import Place, Value, parse_options
from simulators.lockboard import LockboardModel

GOOD: dict[str, Value] = {"dialect": "kr-cu16", "drawers": "0.1-2, 3.16"}


def test_drawers_are_named_by_board_and_lock() -> None:
    options = parse_options(GOOD)
    assert options.places == {"0.1": Place(0, 1), "0.2": Place(0, 2), "3.16": Place(3, 16)}
    assert options.boards == (0, 3)
    assert options.limits == Limits(
        left_open_s=60.0, drawer_rest_s=5.0, cabinet_rest_s=1.0, claim_s=10.0
    )


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"dialect": "kr"}, "'dialect': 'kr' is not one of"),
        ({"dialect": 5}, "'dialect': a text must be given"),
        ({"drawers": ""}, "'drawers': a text must be given"),
        ({"drawers": "0.1-2;3"}, "'0.1-2;3' is not like 0.1-16"),
        ({"drawers": "0.17"}, "locks 1 to 16"),
        ({"drawers": "0.0"}, "locks 1 to 16"),
        ({"drawers": "0.3-2"}, "locks 1 to 16"),
        ({"drawers": "15.1"}, "boards of kr-cu16 are 0 to 14"),
        ({"drawers": "0.1-3,0.2"}, "0.2 is there twice"),
        (
            {"dialect": "cu48", "drawers": ",".join(f"{board}.1-48" for board in range(11))},
            "at most 480, not 528",
        ),
        ({"gap_s": 0}, "'gap_s': seconds above 0"),
        ({"gap_s": "1"}, "'gap_s': seconds above 0"),
        ({"gap_s": True}, "'gap_s': seconds above 0"),
        ({"gap": 1}, "option 'gap' is not known"),
    ],
)
def test_a_wrong_option_is_named(wrong: dict[str, Value], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parse_options({**GOOD, **wrong})


def test_an_opening_long_after_its_command_was_not_asked_for() -> None:
    limits = Limits(left_open_s=60, drawer_rest_s=5, cabinet_rest_s=1, claim_s=10)
    book = DrawerBook(["a"], limits, session="s")
    assert book.state("a") == DrawerState("a", None)
    book.sending("a", "r1", now=100.0)
    book.seen("a", is_open=False, now=101.0, evidence="")
    book.seen("a", is_open=True, now=110.1, evidence="")
    assert not book.proven("r1")
    assert book.asked("r1")
    assert [message.key for message in book.outbox] == ["drawer:s:1"]


def test_only_so_many_requests_are_remembered() -> None:
    limits = Limits(left_open_s=60, drawer_rest_s=5, cabinet_rest_s=1, claim_s=10)
    book = DrawerBook(["a"], limits, session="s")
    for number in range(REQUESTS_MAX + 1):
        book.needless("a", f"r{number}", now=0.0)
    assert not book.asked("r0")
    assert book.asked("r1")


def test_the_simulator_shows_what_is_open_and_how_often_locks_were_fired() -> None:
    model = LockboardModel()
    model.connected(1)
    for _ in range(2):
        model.received(1, bytes.fromhex("02 14 31 03 4A"))
        model.step(0.05)
    model.received(1, bytes.fromhex("02 20 30 03 55"))  # a board that is not there
    model.received(1, bytes.fromhex("02 10 30 03 45"))
    assert [each.data.hex(" ") for each in model.outgoing()] == ["02 10 35 ef ff 00 00 03 38"]
    model.disconnected(1)
    assert model.state() == {
        "dialect": "kr-cu16",
        "open": ["1.5"],
        "pulses": {"1.5": 2},
        "hot": 1,
        "faults": {},
    }
    model.set("dialect", "winnsen")
    model.connected(2)
    model.received(2, bytes.fromhex("90 06 12 01 63 03 90 06 05 01 63 03"))  # no such lock
    assert [each.data.hex(" ") for each in model.outgoing()] == ["90 07 85 01 63 00 03"]
    for name, value in (("dialect", "kr"), ("open", "9.9"), ("close", "0.1")):
        with pytest.raises(ValueError, match=r"not one of|no drawer"):
            model.set(name, value)
