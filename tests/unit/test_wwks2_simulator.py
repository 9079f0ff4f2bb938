"""The simulated robot, without a wire: bytes in, time, bytes out."""

import json
from datetime import date

import pytest

from drivers.wwks2 import messages as wire
from drivers.wwks2.codec import encode
from simulators.wwks2 import make
from tests.unit.wwks2_bench import AT, Robot, ended, left

# ---------------------------------------------------------------- connections


def test_a_client_that_does_not_say_hello_in_five_seconds_is_hung_up() -> None:
    robot = Robot()
    robot.model.connected(7)
    robot.step(5.0)
    assert robot.closed == set()
    robot.step(0.1)

    assert robot.closed == {7}
    robot.model.received(7, b"late")
    assert robot.model.outgoing() == []


def test_a_demonstration_gives_its_clients_more_simulated_time() -> None:
    model = make(3)
    model.connected(1)
    model.step(60.0)

    assert model.outgoing() == []


def test_nothing_is_answered_before_hello() -> None:
    robot = Robot()
    robot.model.connected(7)
    robot.say(wire.KeepAliveRequest("5", 100, 999), 7)

    assert robot.heard == {}


def test_answers_go_to_who_asked_and_the_robots_own_messages_to_everybody() -> None:
    robot = Robot(clients=3)
    robot.model.disconnected(3)
    robot.order("1004")

    assert [type(each).__name__ for each in robot.heard[1]] == [
        "OutputResponse",
        "StockInfoMessage",
        "OutputMessage",
    ]
    assert [type(each).__name__ for each in robot.heard[2]] == ["StockInfoMessage", "OutputMessage"]
    assert robot.said(wire.OutputMessage, 2)[0].destination == 101
    assert 3 not in robot.heard


def test_what_is_no_message_is_answered_with_a_syntax_error_that_quotes_it() -> None:
    robot = Robot()
    robot.model.received(1, b"noise\xff<WWKS/>")
    robot.listen()

    answers = robot.said(wire.UnprocessedMessage)
    assert [each.reason for each in answers] == ["SyntaxError", "SyntaxError"]
    assert answers[1].content == "<WWKS/>"


def test_a_request_that_it_does_not_know_is_answered_as_not_supported() -> None:
    robot = Robot()
    robot.say(wire.UnknownMessage("8", 100, 999, "ArticleInfoRequest"))
    robot.say(wire.UnknownMessage("9", 100, 999, "StrangeMessage"))

    (answer,) = robot.said(wire.UnprocessedMessage)
    assert (answer.id, answer.reason) == ("8", "NotSupported")


def test_a_message_that_is_too_long_ends_the_connection() -> None:
    robot = Robot()
    robot.model.received(1, b"<WWKS>" + b"x" * (4 * 1024 * 1024))
    robot.listen()

    assert robot.closed == {1}


def test_it_answers_keep_alive_and_status() -> None:
    robot = Robot()
    robot.say(wire.KeepAliveRequest("5", 100, 999))
    robot.say(wire.StatusRequest("6", 100, 999, include_details=True))
    robot.model.faults.switch("door_open", on=True)
    robot.say(wire.StatusRequest("7", 100, 999))
    robot.model.faults.switch("door_open", on=False)
    robot.model.faults.switch("not_ready", on=True)
    robot.say(wire.StatusRequest("8", 100, 999))

    part = wire.Component("StorageSystem", "simulated robot", "Ready")
    assert robot.heard[1] == [
        wire.KeepAliveResponse("5", 999, 100),
        wire.StatusResponse("6", 999, 100, "Ready", "", (part,)),
        wire.StatusResponse("7", 999, 100, "NotReady", "A door is open."),
        wire.StatusResponse("8", 999, 100, "NotReady", "The robot is being serviced."),
    ]


# ---------------------------------------------------------------- outputs


def test_without_a_batch_the_earliest_expiring_packs_leave_first() -> None:
    robot = Robot()
    robot.order("10", 3)
    robot.order("11", 2, article="A2")

    assert left(robot) == [("10", 5003), ("10", 5004), ("10", 5001), ("11", 5006), ("11", 5005)]
    assert ended(robot) == [("10", "Completed"), ("11", "Completed")]


def test_a_batch_or_a_pack_may_be_asked_for() -> None:
    robot = Robot()
    robot.order("10", 1, batch="LATE")
    robot.order("11", 1, pack_id=5002)

    assert left(robot) == [("10", 5001), ("11", 5002)]


def test_a_minimum_expiry_date_leaves_the_earlier_and_the_undated_packs_in() -> None:
    robot = Robot()
    wanted = wire.Criteria(quantity=9, minimum_expiry=date(2028, 1, 31))
    details = wire.OutputDetails("Normal", 1)
    robot.say(wire.OutputRequest("10", 100, 999, details, (wanted,)))

    assert left(robot) == [("10", 5001), ("10", 5002), ("10", 5006)]
    assert ended(robot) == [("10", "Incomplete")]


def ask_for(robot: Robot, order_id: str, wanted: wire.Criteria) -> None:
    robot.say(wire.OutputRequest(order_id, 100, 999, wire.OutputDetails("Normal", 1), (wanted,)))


def test_units_are_not_output_where_nobody_said_how_many_a_pack_holds() -> None:
    robot = Robot()
    ask_for(robot, "10", wire.Criteria("A1", 0, 5))

    assert robot.said(wire.OutputResponse)[0].details.status == "Rejected"


def test_as_many_packs_leave_as_the_units_need() -> None:
    robot = Robot()
    robot.model.set("stock", json.dumps([{"article": "A2", "packs": 0, "full_units": 30}]))
    ask_for(robot, "10", wire.Criteria("A2", 0, 13, batch="UNDATED"))
    ask_for(robot, "11", wire.Criteria("A2", 0, 13))

    assert left(robot) == [("10", 5005), ("11", 5006)]
    assert ended(robot) == [("10", "Incomplete"), ("11", "Completed")]


def test_packs_of_one_batch_come_from_the_first_that_suffices_or_the_largest() -> None:
    robot = Robot()
    robot.model.set("stock", json.dumps([{"article": "A1", "batch": "LATE", "packs": 1}]))
    ask_for(robot, "10", wire.Criteria("A1", 3, single_batch=True))
    ask_for(robot, "11", wire.Criteria("A1", 3, single_batch=True))
    ask_for(robot, "12", wire.Criteria("NONE", 1, single_batch=True))

    assert left(robot) == [
        *(("10", pack) for pack in (5001, 5002, 5007)),
        *(("11", pack) for pack in (5003, 5004)),
    ]
    assert [status for _, status in ended(robot)] == ["Completed", "Incomplete", "Incomplete"]


def test_a_manual_output_waits_for_no_order_but_the_running_one() -> None:
    robot = Robot(output_s=1)
    robot.order("10")
    robot.order("11", priority="Highest")
    robot.model.set("manual_output", json.dumps({"article": "A2"}))
    robot.step(3)

    assert [order for order, _ in ended(robot)] == ["10", "1", "11"]


def test_a_delivery_cannot_be_cancelled() -> None:
    robot = Robot(output_s=1)
    robot.order("10")
    robot.say(wire.TaskCancelRequest("5", 100, 999, (wire.Task("10", "StockDelivery"),)))
    robot.step(1)

    assert robot.said(wire.TaskCancelResponse)[0].tasks[0].status == "CancelError"
    assert ended(robot) == [("10", "Completed")]


def test_an_output_takes_its_time_and_nothing_to_output_takes_a_second() -> None:
    robot = Robot(output_s=25)
    robot.order("10", 2)
    robot.step(12.4)
    assert left(robot) == []
    robot.step(0.1)
    assert left(robot) == [("10", 5003)]
    robot.step(12.5)
    assert ended(robot) == [("10", "Completed")]

    robot.order("11", 1, article="NONE")
    robot.step(0.9)
    assert len(ended(robot)) == 1
    robot.step(0.1)
    assert ended(robot)[1] == ("11", "Incomplete")


def test_time_that_one_order_leaves_over_goes_to_the_next() -> None:
    robot = Robot(output_s=10)
    for number in ("10", "11", "12"):
        robot.order(number)
    robot.step(25)

    assert ended(robot) == [("10", "Completed"), ("11", "Completed")]
    robot.step(5)
    assert ended(robot)[-1] == ("12", "Completed")


def test_urgent_orders_overtake_queued_ones() -> None:
    robot = Robot(output_s=1)
    robot.order("10", priority="Low")
    robot.order("11", priority="Low")
    robot.order("12", priority="Strange")
    robot.order("13", priority="Highest")
    robot.step(10)

    assert [order for order, _ in ended(robot)] == ["10", "13", "12", "11"]  # 10 runs already


def test_an_open_door_stops_what_runs() -> None:
    robot = Robot(output_s=5)
    robot.order("10")
    robot.step(1)
    robot.model.faults.switch("door_open", on=True)
    robot.step(100)
    assert ended(robot) == []
    robot.model.faults.switch("door_open", on=False)
    robot.step(4)

    assert ended(robot) == [("10", "Completed")]


def test_the_same_order_again_is_another_output() -> None:
    robot = Robot()
    robot.order("10")
    robot.order("10")

    assert left(robot) == [("10", 5003), ("10", 5004)]


def test_a_full_queue_rejects() -> None:
    robot = Robot(output_s=1)
    for number in range(1002):
        robot.order(str(number), 0)

    assert [each.details.status for each in robot.said(wire.OutputResponse)].count("Rejected") == 1


def test_a_manual_output_has_the_id_one_and_is_no_task() -> None:
    robot = Robot()
    robot.model.set("manual_output", json.dumps({"article": "A2", "packs": 1}))
    robot.listen()
    robot.say(wire.TaskInfoRequest("5", 100, 999, (wire.Task("1"),)))

    assert ended(robot) == [("1", "Completed")]
    assert robot.said(wire.TaskInfoResponse)[0].tasks == (wire.Task("1", "Output", "Unknown"),)


def test_every_pack_that_leaves_is_told_with_what_remains() -> None:
    robot = Robot()
    robot.order("10", 2)

    told = robot.said(wire.StockInfoMessage)
    assert [(each.id, each.articles[0].quantity) for each in told] == [("1", 3), ("1", 2)]
    assert told[0].articles[0].packs[0].state == "NotAvailable"


def test_a_pack_taken_by_hand_is_missing_without_a_word() -> None:
    robot = Robot(output_s=2)
    robot.order("10", 2)
    robot.step(0.5)
    robot.model.set("vanish", "A1")
    robot.step(2)

    assert left(robot) == [("10", 5004)]
    assert ended(robot) == [("10", "Incomplete")]
    with pytest.raises(ValueError, match="no pack of 'NONE' is there"):
        robot.model.set("vanish", "NONE")


# ---------------------------------------------------------------- questions


def test_tasks_are_told_in_every_state_with_their_packs_when_asked_for() -> None:
    robot = Robot(output_s=10)
    robot.order("10", 2)
    robot.order("11")
    robot.step(6)
    tasks = tuple(wire.Task(name) for name in ("10", "11", "12"))
    robot.say(wire.TaskInfoRequest("5", 100, 999, tasks))
    robot.say(wire.TaskInfoRequest("6", 100, 999, tasks, include_details=True))
    robot.say(wire.TaskInfoRequest("7", 100, 999, (wire.Task("10", "StockDelivery"),)))

    short, full, other = (each.tasks for each in robot.said(wire.TaskInfoResponse))
    assert [task.status for task in short] == ["InProcess", "Queued", "Unknown"]
    assert short[0].articles == ()
    assert [pack.id for pack in full[0].articles[0].packs] == [5003]
    assert other[0].status == "Unknown"


def test_a_forgetful_robot_knows_no_order() -> None:
    robot = Robot()
    robot.order("10")
    robot.model.faults.switch("forgetful", on=True)
    robot.say(wire.TaskInfoRequest("5", 100, 999, (wire.Task("10"),)))

    assert robot.said(wire.TaskInfoResponse)[0].tasks[0].status == "Unknown"


def test_orders_are_cancelled_while_queued_or_running_and_not_afterwards() -> None:
    robot = Robot(output_s=10)
    robot.order("10", 2)
    robot.order("11")
    robot.step(6)
    tasks = tuple(wire.Task(name) for name in ("10", "11", "12", "10"))
    robot.say(wire.TaskCancelRequest("5", 100, 999, tasks))
    robot.step(0.1)

    statuses = [task.status for task in robot.said(wire.TaskCancelResponse)[0].tasks]
    assert statuses == ["Cancelled", "Cancelled", "Unknown", "CancelError"]
    assert sorted(ended(robot)) == [("10", "Aborted"), ("11", "Aborted")]
    assert left(robot) == [("10", 5003)]


def test_a_modern_robot_understands_the_renamed_questions_only() -> None:
    robot = Robot()
    robot.model.set("dialect", "modern")
    task = (wire.Task("10", ""),)
    robot.say(wire.TaskInfoRequest("5", 100, 999, task))
    robot.say(wire.OutputInfoRequest("6", 100, 999, task))
    robot.say(wire.TaskCancelOutputRequest("7", 100, 999, task))

    assert robot.said(wire.UnprocessedMessage)[0].id == "5"
    assert robot.said(wire.OutputInfoResponse)[0].tasks == (wire.Task("10", "", "Unknown"),)
    assert robot.said(wire.TaskCancelOutputResponse)[0].tasks == (wire.Task("10", "", "Unknown"),)


def test_stock_is_told_by_article_and_filter() -> None:
    robot = Robot()
    robot.say(wire.StockInfoRequest("5", 100, 999, criteria=(wire.Criteria("A2"),)))
    robot.say(
        wire.StockInfoRequest("6", 100, 999, include_packs=False, include_article_details=True)
    )

    filtered, short = (each.articles for each in robot.said(wire.StockInfoResponse))
    assert [(each.id, each.quantity, len(each.packs)) for each in filtered] == [("A2", 2, 2)]
    assert filtered[0].packs[0].sub_items == 12
    assert [(each.id, each.name, each.quantity, each.packs) for each in short] == [
        ("A1", "article A1", 4, ()),
        ("A2", "article A2", 2, ()),
    ]


def test_corrected_data_of_a_pack_is_told() -> None:
    robot = Robot()
    robot.model.set("update", json.dumps({"pack": 5005, "expiry": "2027-05-31"}))
    robot.model.set("update", json.dumps({"pack": 5005, "batch": "READ"}))
    robot.listen()

    told = [each.articles[0].packs[0] for each in robot.said(wire.StockInfoMessage)]
    assert [(pack.batch, pack.expiry) for pack in told] == [
        ("UNDATED", date(2027, 5, 31)),
        ("READ", date(2027, 5, 31)),
    ]
    with pytest.raises(ValueError, match="pack 1 is not there"):
        robot.model.set("update", json.dumps({"pack": 1}))


# ---------------------------------------------------------------- control


def test_its_state_is_shown() -> None:
    robot = Robot()
    robot.order("10")
    robot.model.faults.switch("jam", on=True, times=2)

    assert robot.model.state() == {
        "ready": True,
        "packs": 5,
        "stock": {"A1": {"LATE": 2, "EARLY": 1}, "A2": {"UNDATED": 1, "DATED": 1}},
        "orders": 0,
        "inputs": 0,
        "left": 1,
        "clients": 1,
        "faults": {"jam": 2},
    }
    assert "manual_output" in robot.model.settings


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("nothing", "1", "setting 'nothing' is not one of stock"),
        ("output_s", "-1", "is not a time"),
        ("hello_s", "inf", "is not a time"),
        ("input_s", "soon", "could not convert"),
        ("dialect", "old", "dialect 'old' is not one of classic, modern, none"),
        ("stock", "{}", "a JSON list of objects was expected"),
        ("stock", "[1]", "a JSON list of objects was expected"),
        ("stock", '[{"batch": "B"}]', "a pack needs an article"),
        ("stock", '[{"article": 5}]', "article must be text, not 5"),
        ("stock", '[{"article": "A", "packs": -1}]', "packs must be a whole number, not -1"),
        ("stock", '[{"article": "A", "expiry": "soon"}]', "Invalid isoformat string"),
        ("input", "[]", "a JSON object was expected"),
        ("manual_output", "x", "Expecting value"),
        ("boxes", "yes", "setting 'boxes': 'yes' is neither 0 nor 1"),
    ],
)
def test_bad_commands_are_refused_and_change_nothing(name: str, value: str, text: str) -> None:
    robot = Robot()
    with pytest.raises(ValueError, match=text):
        robot.model.set(name, value)

    assert len(robot.model.robot.packs) == 6


def test_the_same_commands_give_the_same_bytes() -> None:
    def bytes_of() -> list[bytes]:
        robot = Robot(output_s=3)
        out = []
        for number in range(4):
            robot.model.received(
                1,
                encode(
                    wire.OutputRequest(str(number), 100, 999, criteria=(wire.Criteria("A1", 1),)),
                    AT,
                ),
            )
            robot.model.step(2.5)
            out += [each.data for each in robot.model.outgoing()]
        return out

    assert bytes_of() == bytes_of()
