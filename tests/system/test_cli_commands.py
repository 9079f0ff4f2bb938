"""The command line on a real database and a real server: output, exit status, the next step."""

import json
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dispensed.cli.main import COMMANDS, cli
from dispensed.ledger.engine import Store
from tests.system.web_bench import LISINOPRIL, Bench, bench, migrated

Run = Callable[..., Result]
DEMO = Path(__file__).parents[2] / "config" / "formulary.demo.csv"
HELP_MS = 150


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_config(folder: Path, port: int) -> Path:
    path = folder / "dispensed.toml"
    path.write_text(
        f'state_dir = "{folder}/state"\n'
        f'[site]\ntimezone = "America/New_York"\n'
        f'[database]\nurl = "sqlite:///{folder}/dispensed.db"\n'
        f"[http]\nport = {port}\n"
    )
    return path


def runner(config: Path, environ: dict[str, str] | None = None) -> Run:
    def run(*arguments: str) -> Result:
        return CliRunner(env=environ or {}).invoke(cli, ["--config", str(config), *arguments])

    return run


def cpu_ms(command: list[str], environ: dict[str, str]) -> float:
    """Processor time of a command; other work on the machine does not count."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (usage.ru_utime + usage.ru_stime) * 1000

    before = spent()
    subprocess.run(command, capture_output=True, check=True, env=environ)
    return spent() - before


@pytest.fixture
def alone(tmp_path: Path) -> Run:
    """A configured, empty pharmacy without a daemon."""
    config = write_config(tmp_path, free_port())
    (tmp_path / "dispensed.db").write_bytes(migrated())
    return runner(config)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


@pytest.fixture
def run(site: Bench, tmp_path: Path) -> Run:
    """A pharmacy with a server."""
    port = int(site.base_url.rpartition(":")[2])
    return runner(write_config(tmp_path, port), {"DISPENSED_TOKEN": site.token})


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def failed(result: Result, status: int) -> str:
    assert result.exit_code == status, result.output
    assert result.stderr.startswith("Error: ")
    assert "\nNext: " in result.stderr
    return result.stderr


# ---------------------------------------------------------------- without a daemon


def test_help_is_fast_and_imports_no_command() -> None:
    code = (
        "import sys, dispensed.cli.main; print('sqlalchemy' in sys.modules, 'rich' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "False False\n"
    environ = {key: value for key, value in os.environ.items() if "COV" not in key}
    least = min(cpu_ms([sys.executable, "-m", "dispensed", "--help"], environ) for _ in range(5))
    assert least < HELP_MS


def test_every_command_exists_and_takes_json() -> None:
    def leaves(command: object, name: str) -> Iterator[tuple[str, object]]:
        found = vars(command).get("commands")
        if found:
            for below, each in found.items():
                yield from leaves(each, f"{name} {below}")
        else:
            yield name, command

    for name in COMMANDS:
        context = cli.make_context("dispensed", ["--config", "x", name])
        command = cli.get_command(context, name)
        assert command is not None
        for leaf, each in leaves(command, name):
            options = [option for p in vars(each)["params"] for option in p.opts]
            assert "--json" in options, leaf


def test_the_ledger_is_read_while_the_daemon_is_down(site: Bench, tmp_path: Path) -> None:
    run = runner(write_config(tmp_path, free_port()))
    rows = json.loads(done(run("stock", "--item", LISINOPRIL, "--json")))["rows"]
    assert sorted((row["lot"], row["available"]["quantity"]) for row in rows) == [
        ("L24A", "45"),
        ("L25C", "90"),
    ]
    table = done(run("stock", "--lot", "L24A"))
    assert "Lisinopril 10 mg" in table
    assert "2026-12-10" in table
    assert [row["id"] for row in json.loads(done(run("movements", "--json")))["rows"]] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert "ext:opening" in done(run("movements", "--lot", "OX7"))
    assert "NA/1" in done(run("lots"))
    assert json.loads(done(run("lots", "--item", LISINOPRIL, "--json")))["rows"][0]["lot"] == "L24A"
    assert site.store.read_only_reason is None


def test_a_formulary_is_imported_and_a_bad_one_names_its_lines(alone: Run, tmp_path: Path) -> None:
    assert done(alone("items", "import", str(DEMO))) == "90 items imported\n"
    assert json.loads(done(alone("items", "import", str(DEMO), "--json"))) == {"items": 90}
    bad = tmp_path / "bad.csv"
    bad.write_text("item_id,name\nx,y\n")
    assert "nothing of the file was taken" in failed(alone("items", "import", str(bad)), 1)
    bad.write_bytes(b"\xff\xfe")
    assert "UTF-8" in failed(alone("items", "import", str(bad)), 1)


def test_stock_of_nothing_is_said_in_a_word(alone: Run) -> None:
    assert done(alone("stock")) == "none\n"


def test_a_token_is_printed_once_and_kept_for_the_command_line(alone: Run, tmp_path: Path) -> None:
    plain = done(alone("token", "create", "desk")).strip()
    assert len(plain) == 43
    assert "desk" in failed(alone("token", "create", "desk"), 1)
    kept = json.loads(
        done(alone("token", "create", "me", "--role", "pharmacist", "--for-cli", "--json"))
    )
    file = tmp_path / "state" / "cli-token"
    assert file.read_text() == kept["token"] + "\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (kept["name"], kept["role"]) == ("me", "pharmacist")


def test_a_sound_ledger_verifies_and_leaves_an_anchor(site: Bench, tmp_path: Path) -> None:
    run = runner(write_config(tmp_path, free_port()))
    assert done(run("verify")).startswith("clean: 5 movements, 10 balances, 0 holds and 0 anchors")
    report = json.loads(done(run("verify", "--json")))
    assert (report["ok"], report["anchors"], report["head_id"]) == (True, 1, 5)
    assert len((tmp_path / "state" / "anchors.jsonl").read_text().splitlines()) == 2
    assert site.store.read_only_reason is None


def test_a_changed_ledger_is_named_and_never_repaired(site: Bench, tmp_path: Path) -> None:
    run = runner(write_config(tmp_path, free_port()))
    done(run("verify"))
    anchors = tmp_path / "state" / "anchors.jsonl"
    anchors.write_text(anchors.read_text().replace('"hash": "', '"hash": "0'))
    assert "movement 5" in failed(run("verify"), 1)
    result = run("verify", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["ok"], report["findings"][0]["code"]) == (False, "anchor_differs")
    assert site.store.read_only_reason is None


def test_the_database_is_made_and_an_absent_one_says_how(tmp_path: Path) -> None:
    config = write_config(tmp_path, free_port())
    config.write_text(config.read_text().replace("/dispensed.db", "/new/dispensed.db"))
    run = runner(config)
    assert failed(run("stock"), 1)
    assert done(run("db", "upgrade")) == "the database is up to date\n"
    assert done(run("stock")) == "none\n"
    assert json.loads(done(run("db", "upgrade", "--json"))) == {"upgraded": True}
    Store.open(f"sqlite:///{tmp_path}/new/dispensed.db").close()


# ---------------------------------------------------------------- configuration


def test_a_bad_configuration_ends_with_status_2_and_every_fault(tmp_path: Path) -> None:
    config = write_config(tmp_path, 70000)
    config.write_text(
        config.read_text() + '[devices.s]\nprotocol = "mtsisc"\naddress = "tcp://h:1"\n'
    )
    run = runner(config)
    text = failed(run("config", "check"), 2)
    assert f"{config}:7: http.port" in text
    assert f"{config}:9: devices.s.protocol" in text
    faults = run("config", "check", "--json")
    assert faults.exit_code == 2
    assert [fault["line"] for fault in json.loads(faults.stdout)["faults"]] == [7, 9]
    for command in (["stock"], ["devices"], ["run"]):
        failed(run(*command), 2)


def test_a_good_configuration_is_said_to_be_good(alone: Run) -> None:
    assert done(alone("config", "check")).endswith("no fault; 0 devices: none\n")
    assert json.loads(done(alone("config", "check", "--json"))) == {"faults": []}


def test_the_example_configuration_is_printed(alone: Run) -> None:
    assert "[dispensing]" in done(alone("config", "example"))
    assert "[site]" in json.loads(done(alone("config", "example", "--json")))["toml"]


def test_no_configuration_at_all_says_where_it_may_be(tmp_path: Path) -> None:
    environ = {key: value for key, value in os.environ.items() if key != "DISPENSED_CONFIG"}
    environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    told = subprocess.run(
        [sys.executable, "-m", "dispensed", "stock"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 2
    assert "neither dispensed.toml and /etc/dispensed/dispensed.toml exists" in told.stderr
    assert "--config" in told.stderr


def test_wrong_usage_ends_with_status_2(alone: Run) -> None:
    assert alone("stokc").exit_code == 2
    assert alone("dispense", "show", "zero").exit_code == 2


# ---------------------------------------------------------------- with a daemon


def test_a_daemon_that_does_not_answer_ends_with_status_3(alone: Run) -> None:
    for command in (["devices"], ["jobs", "list"], ["receive", "90", "--ndc", "68180-513-01"]):
        text = failed(alone(*command, "--token", "t"), 3)
        assert "no daemon answers at http://127.0.0.1:" in text
        assert " run`" in text


def test_a_command_without_a_token_says_how_to_get_one(alone: Run) -> None:
    assert "dispensed token create NAME --for-cli" in failed(alone("devices"), 1)


def test_a_wrong_token_says_how_to_get_one(run: Run) -> None:
    text = failed(run("devices", "--token", "wrong"), 1)
    assert "dispensed token create NAME --for-cli" in text


def test_a_sample_needs_a_counter_that_is_up(run: Run) -> None:
    sampled = ("devices", "sample", "counter1", "--item", "68180051301", "--pieces", "10")
    assert "counter1 is down" in failed(run(*sampled), 1)


def test_a_drawer_is_opened_once_for_a_reason(run: Run) -> None:
    assert "0.1" in done(run("devices", "drawers", "drawers1"))
    ordered = ("devices", "open", "drawers1", "0.1", "--reason", "restock", "--request-id", "d1")
    assert "open" in done(run(*ordered))
    assert json.loads(done(run(*ordered, "--json"))) == {
        "drawer": "0.1",
        "is_open": True,
        "locked": False,
    }
    rows = json.loads(done(run("devices", "drawers", "drawers1", "--json")))["rows"]
    assert [row["is_open"] for row in rows] == [True, None]
    text = failed(run("devices", "open", "drawers1", "0.2", "--reason", "restock"), 1)
    assert "not seen open in 10" in text
    assert "moved: unknown" in text


def test_devices_and_jobs_are_shown(run: Run) -> None:
    assert "robot1" in done(run("devices"))
    assert json.loads(done(run("devices", "--json")))["rows"][0]["state"] == "up"
    assert "reorder" in done(run("jobs", "list"))
    assert json.loads(done(run("jobs", "list", "--json")))["rows"][0]["name"] == "reorder"
    assert "0 proposals open" in done(run("jobs", "run", "reorder"))
    assert json.loads(done(run("jobs", "run", "reorder", "--json")))["failed"] is False
    assert "there are reorder, verify" in failed(run("jobs", "run", "nope"), 1)


def test_a_delivery_is_received_once_per_request(run: Run) -> None:
    typed = ["--item", LISINOPRIL, "--lot", "N1", "--expiry", "2028-01-31", "--request-id", "r1"]
    first = done(run("receive", "90", *typed))
    assert "90 EA at receiving" in first
    assert "repeated" not in first
    assert "repeated" in done(run("receive", "90", *typed))
    assert json.loads(done(run("receive", "90", *typed, "--json")))["movement_id"] == 6
    assert "1.2345" in failed(run("receive", "1.2345", *typed), 1)


def test_a_dispense_goes_its_way_by_commands(run: Run) -> None:
    order = ["dispense", "create", LISINOPRIL, "30", "--patient", "p1", "--order", "RX-1"]
    assert "requested" in done(run(*order, "--request-id", "q1"))
    made = json.loads(done(run(*order, "--request-id", "q1", "--json")))
    number = str(made["id"])
    assert "RX-1" in done(run("dispense", "list"))
    rows = json.loads(done(run("dispense", "list", "--state", "requested", "--json")))["rows"]
    assert [row["id"] for row in rows] == [made["id"]]
    assert "30 EA" in done(run("dispense", "show", number))
    assert json.loads(done(run("dispense", "show", number, "--json")))["holds"] == []
    for refusal in (
        ["verify", number],
        ["release", number],
        ["count", number, "30", "--reason", "by hand"],
        ["weigh", number],
        ["top-up", number],
    ):
        failed(run("dispense", *refusal), 1)
    assert "voided" in done(run("dispense", "void", number, "--reason", "withdrawn"))
    assert "no dispense 99" in failed(run("dispense", "show", "99"), 1)


def test_another_program_on_the_port_is_told_apart(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        run = runner(write_config(tmp_path, listener.getsockname()[1]))
        listener.settimeout(10)

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")

        thread = threading.Thread(target=answer)
        thread.start()
        text = failed(run("devices", "--token", "t"), 3)
        thread.join(10)
    assert "no JSON: 'hello'" in text
