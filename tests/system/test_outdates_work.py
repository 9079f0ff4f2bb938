"""Expiry and batches over HTTP and on the command line, as two technicians work them."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import Result

from dispensed.ledger import tokens
from tests.system.test_cli_commands import done, failed, runner, write_config
from tests.system.test_web_api import refused
from tests.system.web_bench import LISINOPRIL, OXYCODONE, SALINE, STAMP, Bench, bench

Run = Callable[..., Result]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


@pytest.fixture
def api(site: Bench) -> Iterator[httpx.Client]:
    with site.client() as client:
        yield client


@pytest.fixture
def other(site: Bench) -> Iterator[httpx.Client]:
    """Another person."""
    token = site.store.write_sync(lambda tx: tokens.create(tx, "ada", "technician", STAMP))
    with site.client(token) as client:
        yield client


@pytest.fixture
def run(site: Bench, tmp_path: Path) -> Run:
    port = int(site.base_url.rpartition(":")[2])
    return runner(write_config(tmp_path, port), {"DISPENSED_TOKEN": site.token})


def test_the_pull_list_is_planned_worked_and_its_difference_shown(api: httpx.Client) -> None:
    made = api.post("/api/v1/outdates/plan", json={"days": 0})
    assert (made.status_code, len(made.json()["tasks"])) == (201, 1)
    (task,) = api.get("/api/v1/outdates").json()["rows"]
    assert (task["item_id"], task["lot"], task["location_id"], task["book"]["quantity"]) == (
        SALINE,
        "NA/1",
        "shelf/B-01",
        "250",
    )
    pull = {"counted": "240", "request_id": "p1"}
    first = api.post(f"/api/v1/outdates/{task['id']}/pull", json=pull).json()
    assert api.post(f"/api/v1/outdates/{task['id']}/pull", json=pull).json() == first
    assert (first["state"], first["done_by"], first["counted"]["milli"]) == (
        "done",
        "bench",
        240000,
    )
    (found,) = api.get("/api/v1/discrepancies").json()["rows"]
    assert (found["kind"], found["difference"]["quantity"]) == ("count", "-10")
    late = api.post(f"/api/v1/outdates/{task['id']}/cancel", json={"reason": "x"})
    assert "was done by bench" in refused(late, 409, "task_done")
    assert api.get("/api/v1/outdates", params={"state": "all"}).json()["rows"] == [first]


def test_stock_at_risk_is_told_with_its_demand(api: httpx.Client) -> None:
    rows = api.get("/api/v1/outdates/risk", params={"item": LISINOPRIL}).json()["rows"]
    assert [(row["lot"], row["at_risk"]["quantity"], row["daily"]) for row in rows] == [
        ("L24A", "45", "0"),
        ("L25C", "90", "0"),
    ]


def test_a_destruction_needs_its_form_and_two_persons_and_prints_its_document(
    api: httpx.Client, other: httpx.Client
) -> None:
    opened = {"kind": "destruction", "partner": "County incinerator"}
    batch = api.post("/api/v1/batches", json=opened).json()["batch"]
    path = f"/api/v1/batches/{batch['id']}"
    line = {"item_id": OXYCODONE, "lot": "OX8", "quantity": "20.5", "source": "shelf/B-01"}
    packed = api.post(f"{path}/lines", json=line, headers={"Idempotency-Key": "k1"}).json()
    assert (packed["form_needed"], packed["persons_needed"]) == ("41", 2)
    refused(api.get(f"{path}/document"), 409, "conflict")
    refused(api.post(f"{path}/seal", json={}), 409, "dea_form_missing")
    assert api.post(f"{path}/seal", json={"dea_reference": "41-1"}).status_code == 200
    refused(
        api.post(f"{path}/lines", json=line, headers={"Idempotency-Key": "k2"}),
        409,
        "batch_not_open",
    )
    refused(api.post(f"{path}/credit", json={"cents": 1}), 409, "illegal_batch_step")
    first = api.post(f"{path}/leave", json={"method": "incineration"}).json()["batch"]
    assert (first["state"], first["first_person"]) == ("sealed", "bench")
    refused(api.post(f"{path}/leave", json={}), 409, "second_person_needed")
    gone = other.post(f"{path}/leave", json={}).json()["batch"]
    assert (gone["state"], gone["left_by"], gone["method"]) == ("destroyed", "ada", "incineration")
    document = api.get(f"{path}/document").json()
    assert document["persons"] == ["bench", "ada"]
    table = api.get(f"{path}/document", params={"format": "csv"})
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    (row,) = csv.DictReader(io.StringIO(table.text))
    (told,) = document["lines"]
    assert row == {key: "" if value is None else str(value) for key, value in told.items()}
    moves = api.get("/api/v1/movements", params={"lot": "OX8"}).json()["rows"]
    assert (moves[-1]["kind"], moves[-1]["id"]) == ("destroy", told["left_movement_id"])
    rows = api.get("/api/v1/batches", params={"state": "destroyed"}).json()["rows"]
    assert [each["id"] for each in rows] == [batch["id"]]


def test_the_commands_work_a_return_from_the_pull_list_to_its_end(run: Run) -> None:
    assert done(run("outdates", "list")) == "none\n"
    assert done(run("outdates", "plan", "--days", "20")) == "2 new pull tasks\n"
    tasks = json.loads(done(run("outdates", "list", "--json")))["rows"]
    number = next(str(task["id"]) for task in tasks if task["lot"] == "L24A")
    assert "shelf/A-03" in done(run("outdates", "list"))
    other = next(str(task["id"]) for task in tasks if task["lot"] == "NA/1")
    assert "cancelled" in done(run("outdates", "cancel", other, "--reason", "sold"))
    assert "counted  45 EA" in done(run("outdates", "pull", number, "45"))
    assert "L25C" in done(run("outdates", "risk"))
    assert json.loads(done(run("outdates", "risk", "--item", "none", "--json")))["rows"] == []
    made = json.loads(done(run("batches", "open", "return", "McKesson", "--json")))
    batch = str(made["batch"]["id"])
    done(run("batches", "pack", batch, LISINOPRIL, "L24A", "40"))
    extra = json.loads(done(run("batches", "pack", batch, LISINOPRIL, "L24A", "5", "--json")))
    line = str(extra["lines"][1]["id"])
    done(run("batches", "unpack", batch, line, "--reason", "kept"))
    assert "seal it first" in failed(run("batches", "document", batch), 1)
    done(run("batches", "seal", batch))
    done(run("batches", "reopen", batch, "--reason", "look again"))
    done(run("batches", "seal", batch))
    assert "40 EA of 68180051301 Lisinopril lot L24A" in done(run("batches", "show", batch))
    assert done(run("batches", "document", batch, "--csv")).count("\n") == 2
    assert json.loads(done(run("batches", "document", batch)))["state"] == "sealed"
    done(run("batches", "leave", batch))
    done(run("batches", "credit", batch, "1999", "--reference", "CM-1"))
    assert "closed" in done(run("batches", "close", batch, "--reason", "paid"))
    assert "McKesson" in done(run("batches", "list"))
    rows = json.loads(done(run("batches", "list", "--state", "closed", "--json")))["rows"]
    assert rows[0]["credit_cents"] == 1999
