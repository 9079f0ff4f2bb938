"""Word to the service manager, as sd_notify(3) wants it."""

import socket
from pathlib import Path
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from dispensed.sdnotify import Notifier


def test_states_arrive_as_lines_of_one_datagram(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}).send("READY=1", "MAINPID=7")
        assert manager.recv(4096) == b"READY=1\nMAINPID=7"


def test_a_leading_at_sign_means_the_abstract_name_space() -> None:
    name = f"dispensed-test-{uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).send("WATCHDOG=1")
        assert manager.recv(4096) == b"WATCHDOG=1"


def test_without_a_service_manager_nothing_is_sent_and_nothing_is_wanted() -> None:
    notifier = Notifier({})
    with capture_logs() as logs:
        notifier.send("READY=1")
    assert (notifier.watchdog_s, logs) == (0.0, [])


@pytest.mark.parametrize(
    ("text", "seconds"), [("30000000", 30.0), ("1500", 0.0015), ("", 0.0), ("soon", 0.0)]
)
def test_the_watchdog_time_is_read_in_microseconds(text: str, seconds: float) -> None:
    assert Notifier({"WATCHDOG_USEC": text}).watchdog_s == seconds


def test_a_service_manager_that_is_gone_is_logged_and_raises_nothing(tmp_path: Path) -> None:
    with capture_logs() as logs:
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).send("READY=1")
    assert [each["event"] for each in logs] == ["notify.failed"]
