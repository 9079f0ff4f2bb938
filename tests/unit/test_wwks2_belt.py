"""The input of the simulated robot, without a wire."""

import json
from datetime import date

from drivers.wwks2 import messages as wire
from simulators.wwks2_inputs import WAITING_MAX
from tests.unit.wwks2_bench import Robot


def allow(request: wire.InputRequest, handling: str = "Allowed") -> wire.InputResponse:
    stored = wire.PackData(handling=handling, handling_text="said so")
    return wire.InputResponse(request.id, 100, 999, articles=(wire.Article("A7", packs=(stored,)),))


def put(robot: Robot, **item: str | int) -> wire.InputRequest:
    robot.model.set("input", json.dumps({"scan_code": "01\x1d10", **item}))
    robot.listen()
    return robot.said(wire.InputRequest)[-1]


def outcome(robot: Robot) -> wire.PackData:
    return robot.said(wire.InputMessage)[-1].articles[0].packs[0]


def test_what_the_answer_leaves_out_is_stored_blank() -> None:
    robot = Robot()
    request = put(robot, batch="B9", expiry="2028-01-31", units=3, delivery="D1")
    assert request.new_delivery
    robot.say(allow(request))

    stored = robot.model.robot.packs[5007]
    assert (stored.article, stored.batch, stored.expiry, stored.units) == ("A7", "", None, 0)
    assert (outcome(robot).id, outcome(robot).handling) == (5007, "Completed")
    robot.say(allow(request))  # a late second answer changes nothing
    assert len(robot.model.robot.packs) == 7


def test_a_missing_expiry_date_or_batch_is_typed_in_and_asked_again_under_the_same_id() -> None:
    robot = Robot()
    request = put(robot, typed_expiry="2028-01-31", typed_batch="TYPED")
    robot.say(allow(request, handling="RejectedNoExpiryDate"))
    robot.say(allow(request, handling="RejectedNoBatchNumber"))
    again = robot.said(wire.InputRequest)

    assert [each.id for each in again] == [request.id] * 3
    asked = [each.articles[0].packs[0] for each in again]
    assert [(pack.batch, pack.expiry) for pack in asked] == [
        ("", None),
        ("", date(2028, 1, 31)),
        ("TYPED", date(2028, 1, 31)),
    ]
    robot.say(allow(request, handling="RejectedNoExpiryDate"))
    assert (outcome(robot).id, outcome(robot).handling) == (0, "Aborted")
    assert outcome(robot).handling_text == "said so"


def test_an_input_that_nobody_answers_is_aborted() -> None:
    robot = Robot()
    request = put(robot)
    robot.say(wire.InputResponse(request.id, 100, 999))  # says nothing about the pack
    robot.step(30)
    assert robot.said(wire.InputMessage) == []
    robot.step(1)

    assert (outcome(robot).handling, outcome(robot).handling_text) == ("Aborted", "no answer")


# ---------------------------------------------------------------- started inputs


def start(robot: Robot, *packs: wire.PackData) -> wire.InitiateInputResponse:
    robot.say(
        wire.InitiateInputRequest(
            "55",
            100,
            999,
            articles=(wire.Article(packs=packs),),
            details=wire.InputDetails(3),
        )
    )
    return robot.said(wire.InitiateInputResponse)[-1]


def test_a_started_input_is_answered_before_its_packs_are_asked_for() -> None:
    robot = Robot()
    start(robot, wire.PackData(scan_code="1", depth=60), wire.PackData(index=1, scan_code="2"))

    assert [type(each).__name__ for each in robot.heard[1]] == [
        "InitiateInputResponse",
        "InputRequest",
    ]
    asked = robot.said(wire.InputRequest)[0].articles[0].packs
    assert [(pack.index, pack.scan_code, pack.depth) for pack in asked] == [
        (0, "1", 0),
        (1, "2", 0),
    ]


def test_packs_are_stored_once_all_of_them_are_decided() -> None:
    robot = Robot()
    start(robot, wire.PackData(scan_code="1"), wire.PackData(index=1, scan_code="2"))
    request = robot.said(wire.InputRequest)[0]
    robot.say(allow(request))  # of the first pack only
    assert robot.said(wire.InputMessage) == []
    robot.step(31)

    ended = robot.said(wire.InitiateInputMessage)[0]
    assert ended.details == wire.InputDetails(3, 1, "Incomplete")
    packs = [article.packs[0] for article in ended.articles]
    assert [(pack.error, pack.error_text) for pack in packs] == [("Rejected", "no answer")] * 2


def test_a_rejection_that_started_inputs_have_no_word_for_is_just_rejected() -> None:
    robot = Robot()
    start(robot, wire.PackData(scan_code="1"))
    robot.say(allow(robot.said(wire.InputRequest)[0], handling="RejectedNoSerialNumber"))

    ended = robot.said(wire.InitiateInputMessage)[0]
    assert ended.articles[0].packs[0].error == "Rejected"


def test_an_input_without_packs_and_one_too_many_are_rejected() -> None:
    robot = Robot()
    assert start(robot).details.status == "Rejected"
    packs = [wire.PackData(index=number, scan_code="1") for number in range(WAITING_MAX + 1)]
    assert start(robot, *packs).details.status == "Rejected"
    assert robot.said(wire.InputRequest) == []
