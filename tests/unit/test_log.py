"""The log: one JSON object a line, ids bound once, nothing under a key that is not allowed."""

import ast
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from dispensed import log
from dispensed.model.quantity import Unit

ROOT = Path(__file__).parents[2]
LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_its_level_and_utc_time() -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream)
    structlog.get_logger().info("dispense.settled", qty_milli=30000, lot="A12")
    (line,) = lines(stream)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "event": "dispense.settled",
        "level": "info",
        "qty_milli": 30000,
        "lot": "A12",
    }


def test_a_key_that_is_not_allowed_is_dropped_and_named() -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream)
    structlog.get_logger().info("dispense.settled", patient_name="Jane Roe", address="1 Elm St")
    assert "Jane" not in stream.getvalue()
    assert "Elm" not in stream.getvalue()
    assert lines(stream)[0]["dropped"] == ["address", "patient_name"]


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20)))
def test_only_allowed_keys_come_through(values: dict[str, str]) -> None:
    kept = log.drop_unknown_keys(None, "info", dict(values))
    assert {key for key in kept if not key.startswith("_")} <= log.ALLOWED_KEYS


def test_bound_ids_are_on_every_line_inside_the_block_only() -> None:
    stream = io.StringIO()
    log.configure("debug", "json", stream)
    with log.bound(device_id="robot1"):
        structlog.get_logger().warning("device.lost", reason="no answer")
    structlog.get_logger().debug("device.found")
    inside, outside = lines(stream)
    assert inside["device_id"] == "robot1"
    assert "device_id" not in outside


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    log.configure("warning", "json", stream)
    structlog.get_logger().info("dispense.settled")
    assert stream.getvalue() == ""


def test_bytes_are_hex_and_enumerations_are_their_value() -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream)
    structlog.get_logger().info("message.read", raw=b"S S\r\n", kind=Unit.EA)
    assert lines(stream)[0]["raw"] == "53 20 53 0d 0a"
    assert lines(stream)[0]["kind"] == "EA"


def test_an_exception_is_written_with_its_traceback() -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream)
    try:
        Unit("lot A12")
    except ValueError:
        structlog.get_logger().exception("job.failed", job="expiry")
    assert "ValueError: 'lot A12' is not a valid Unit" in str(lines(stream)[0]["exception"])


def test_lines_of_libraries_have_the_same_form_and_their_routine_is_quiet() -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream)
    logging.root.manager.getLogger("a_library.part").info("started on %s", "127.0.0.1")
    logging.root.manager.getLogger("asyncua.client").info("routine")
    (line,) = lines(stream)
    assert line["event"] == "started on 127.0.0.1"
    assert line["logger"] == "a_library.part"


def test_the_opc_ua_library_tells_its_errors_but_no_password_and_no_failed_farewell() -> None:
    stream = io.StringIO()
    log.configure("debug", "json", stream)
    client = logging.root.manager.getLogger("asyncua.client.client")
    client.debug("Sending: UserNameIdentityToken(Password=b'hunter2')")
    client.warning("Revised values returned differ")
    client.error("close_session raised during disconnect; continuing teardown")
    client.error("Connection supervisor iteration crashed")
    assert [line["event"] for line in lines(stream)] == ["Connection supervisor iteration crashed"]


def test_the_console_form_is_for_people() -> None:
    stream = io.StringIO()
    log.configure("info", "console", stream)
    structlog.get_logger().info("dispense.settled", lot="A12")
    assert "dispense.settled" in stream.getvalue()
    assert "lot=A12" in stream.getvalue()


def logged_keywords() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "dispensed").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log"), attr=attr), keywords=keywords
                ) if attr in LEVELS:
                    for keyword in keywords:
                        yield f"{path.name}:{node.lineno}", keyword.arg or "**"
                case _:
                    pass


def test_every_key_that_the_code_logs_is_allowed() -> None:
    unknown = [
        (place, key)
        for place, key in logged_keywords()
        if key not in log.ALLOWED_KEYS and key != "exc_info"
    ]
    assert unknown == []
