"""A machine at its own line: who it is, and the guided acceptance run with its report."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dispensed.cli.main import cli
from dispensed.devices import acceptance
from dispensed.devices.registry import DeviceConfig
from simulators import lockboard, mtsics, nci, wwks2, zpl
from simulators.base import StreamModel
from simulators.serve import serve_tcp
from simulators.weighcount import PouringModel
from simulators.wire import Wire
from tests.system.shop import Config

SPEED = 50.0
STEPS_OF_A_SCALE = ["identity", "zero", "empty", "check weight"]


@contextmanager
def served(model: StreamModel) -> Iterator[str]:
    """Serve a machine from a thread; gives its address."""
    address: list[str] = []
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serve_tcp(model, wire=Wire(seed=1, speed=SPEED)) as here:
            address.append(here.address)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield address[0]
    finally:
        over.set()
        thread.join(20)


def configured(folder: Path, protocol: str, address: str, options: str = "") -> Path:
    path = folder / "dispensed.toml"
    path.write_text(
        f'state_dir = "{folder}"\n[database]\nurl = "sqlite:///{folder}/d.db"\n'
        f'[devices.machine]\nprotocol = "{protocol}"\naddress = "{address}"\n'
        f"options = {{ {options} }}\n"
    )
    return path


def call(config: Path, *words: str, answers: str = "") -> Result:
    return CliRunner().invoke(cli, ["--config", str(config), "devices", *words], input=answers)


def tried(folder: Path, config: Path, answers: str) -> tuple[Result, dict[str, object]]:
    report = folder / "report.json"
    done = call(config, "test", "machine", "--by", "tess", "--report", str(report), answers=answers)
    return done, json.loads(report.read_text()) if report.exists() else {}


def verdicts(document: dict[str, object]) -> dict[str, str]:
    steps = document["steps"]
    assert isinstance(steps, list)
    return {step["name"]: step["verdict"] for step in steps}


def test_a_probe_says_who_the_machine_is_and_changes_nothing(tmp_path: Path) -> None:
    with served(mtsics.make(1)) as address:
        done = call(configured(tmp_path, "mtsics", address), "probe", "machine", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["name"] == "machine"
    assert told["model"] == "SIM Balance"
    assert told["serial"] == "B123456789"


def test_a_probe_refuses_another_serial_number_than_the_configured_one(tmp_path: Path) -> None:
    with served(mtsics.make(1)) as address:
        config = configured(tmp_path, "mtsics", address, 'serial = "B999"')
        done = call(config, "probe", "machine")
    assert done.exit_code == 1
    assert "B999" in done.stderr
    assert "Next:" in done.stderr


def test_a_machine_that_does_not_answer_is_named(tmp_path: Path, unused_tcp_port: int) -> None:
    done = call(
        configured(tmp_path, "mtsics", f"tcp://127.0.0.1:{unused_tcp_port}"), "probe", "machine"
    )
    assert done.exit_code == 1
    assert str(unused_tcp_port) in done.stderr


def test_a_device_that_is_not_configured_is_refused_with_those_that_are(tmp_path: Path) -> None:
    done = call(configured(tmp_path, "mtsics", "tcp://127.0.0.1:1"), "probe", "other")
    assert done.exit_code == 2
    assert "configured: machine" in done.stderr


def test_a_scale_is_led_through_zero_and_a_check_weight(tmp_path: Path) -> None:
    model = mtsics.make(1)
    with served(model) as address:
        config = configured(tmp_path, "mtsics", address)
        done, document = tried(tmp_path, config, "\n50\n50\n\n")
    assert done.exit_code == 0, done.output
    assert document["verdict"] == "passed"
    assert document["by"] == "tess"
    assert list(verdicts(document)) == STEPS_OF_A_SCALE
    assert set(verdicts(document).values()) == {"passed"}


class Pourer:
    """A technician at a scale who pours, empties and counts as he is told."""

    def __init__(self, model: PouringModel) -> None:
        self._model = model

    def told(self, text: str) -> None:
        if text == "Pour now":
            self._model.set("pour", "20")

    async def answer(self, question: str) -> str:
        if question.startswith("Put the empty tray"):
            self._model.set("pour", "10")
            await self._rest(10)
            return "10"
        if question.startswith("Empty the tray"):
            self._model.set("clear", "1")
            await self._rest(0)
            return ""
        return "20"

    async def _rest(self, pieces: int) -> None:
        async with asyncio.timeout(20):
            while not self._rests(pieces):  # noqa: ASYNC110 - the simulator has no events
                await asyncio.sleep(0.01)

    def _rests(self, pieces: int) -> bool:
        return self._model.pieces == pieces and bool(self._model.state()["stable"])


async def test_a_counter_made_of_a_scale_is_probed_sampled_and_counts_what_is_poured() -> None:
    model = PouringModel(3, mean_mg=420, sd_mg=4.62)
    async with serve_tcp(model, wire=Wire(seed=4, speed=SPEED)) as here:
        quick: dict[str, str | int | float | bool] = {
            "poll_s": 0.01,
            "settle_s": 0.05,
            "weigh_timeout_s": 1.0,
        }
        devices: dict[str, DeviceConfig] = {
            "machine": Config("weighcount", "device:scale", quick),
            "scale": Config("mtsics", here.address, {}),
        }
        assert (await acceptance.probe("machine", devices)).link == "device scale"
        steps = await acceptance.run("machine", devices, Pourer(model))
    assert {step.name: str(step.verdict) for step in steps} == {
        "identity": "passed",
        "sample": "passed",
        "count": "passed",
        "counted by hand": "passed",
    }


def test_a_scale_that_weighs_wrongly_fails_and_the_report_says_so(tmp_path: Path) -> None:
    with served(mtsics.make(1)) as address:
        done, document = tried(tmp_path, configured(tmp_path, "mtsics", address), "\n50\n0.002\n\n")
    assert done.exit_code == 1
    assert verdicts(document)["check weight"] == "failed"
    assert document["verdict"] == "failed"


def test_an_ability_that_a_machine_lacks_is_skipped_with_the_reason(tmp_path: Path) -> None:
    with served(nci.make(1)) as address:
        config = configured(tmp_path, "nci", address, 'plausible_max = "15"')
        _, document = tried(tmp_path, config, "\n\n")
    assert verdicts(document)["check weight"] == "skipped"
    assert document["verdict"] == "skipped"


def test_a_report_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    with served(mtsics.make(1)) as address:
        done, document = tried(tmp_path, configured(tmp_path, "mtsics", address), "\n\n")
    assert done.exit_code == 2
    assert document == {}


def _robot() -> StreamModel:
    robot = wwks2.make(1)
    row = {"article": "A1", "batch": "L1", "expiry": "2099-12-31", "packs": 2}
    robot.set("stock", json.dumps([row]))
    return robot


@pytest.mark.parametrize(
    ("protocol", "make", "options", "answers", "steps"),
    [
        ("wwks2", _robot, "", "A1\nL1\nyes\n", ["inventory", "output", "pack in hand"]),
        ("zpl", lambda: zpl.make(1), "", "yes\n", ["status", "label", "label in hand"]),
        (
            "lockboard",
            lambda: lockboard.make(1),
            'dialect = "kr-cu16", drawers = "0.1-2"',
            "0.1\n\n",
            ["drawers", "open", "shut"],
        ),
    ],
)
def test_every_other_machine_is_led_through_its_abilities(
    tmp_path: Path,
    protocol: str,
    make: Callable[[], StreamModel],
    options: str,
    answers: str,
    steps: list[str],
) -> None:
    with served(make()) as address:
        config = configured(tmp_path, protocol, address, options)
        _, document = tried(tmp_path, config, answers)
    found = verdicts(document)
    assert list(found) == ["identity", *steps]
    failed = {name for name, verdict in found.items() if verdict != "passed"}
    assert failed <= {"shut"}, document  # nobody shuts the simulated drawer
