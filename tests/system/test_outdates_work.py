"""Expiry and batches over HTTP and on the command line, as two technicians work them."""

import csv
import io
import json
from collections.abc import Callable, Iterator

import httpx
import pytest
from click.testing import Result

from dispensed.ledger import tokens
from tests.system.test_cli_commands import done, failed, runner, write_config
from tests.system.test_web_api import refused
from tests.system.web_bench import LISINOPRIL, OXYCODONE, SALINE, STAMP, Bench, bench

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One pharmacy for the tests over HTTP, each with lots of its own."""
    with bench(tmp_path_factory.mktemp("api")) as made:
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


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Another pharmacy for the commands."""
    folder = tmp_path_factory.mktemp("commands")
    with bench(folder) as made:
        port = int(made.base_url.rpartition(":")[2])
        yield runner(write_config(folder, port), {"DISPENSED_TOKEN": made.token})


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


# ---------------------------------------------------------------- special stock


def _trial(api: httpx.Client) -> None:
    papers = {"protocol_id": "NCI-1", "title": "T", "sponsor": "NCI", "investigator": "Dr Who"}
    assert api.post("/api/v1/protocols", json=papers).status_code == 201
    made = api.post("/api/v1/places", json={"location_id": "trials/1", "kind": "bin"})
    assert (made.status_code, made.json()["parent"]) == (201, "site")
    rule = {"reason": "trial", "protocol": "NCI-1", "items": [LISINOPRIL]}
    said = api.post("/api/v1/places/trials/1/rules", json=rule).json()
    assert (said["own"]["actor"], said["holds"]["protocol"]) == ("bench", "NCI-1")
    assert api.get("/api/v1/places/trials/1/rules").json() == said
    assert api.get("/api/v1/places/rules").json()["rows"] == [said["own"]]


def test_a_dispense_of_a_protocol_is_in_its_record_under_the_opaque_key(
    api: httpx.Client,
) -> None:
    _trial(api)
    arrived = {"item_id": LISINOPRIL, "lot": "N1", "expiry": "2028-01-31", "quantity": "90"}
    wrong = {**arrived, "item_id": SALINE, "location": "trials/1", "request_id": "r0"}
    detail = refused(api.post("/api/v1/receipts", json=wrong), 409, "place_rule")
    assert detail == f"item {SALINE} at trials/1: the place is for other items"
    receipt = {**arrived, "location": "trials/1", "request_id": "r1"}
    assert api.post("/api/v1/receipts", json=receipt).status_code == 201
    away = {"item_id": LISINOPRIL, "lot": "N1", "source": "trials/1", "target": "shelf/A-03"}
    moved = api.post("/api/v1/transfers", json={**away, "quantity": "1", "request_id": "t1"})
    assert "protocol NCI-1, not no protocol" in refused(moved, 409, "protocol_mixed")
    order = {"order_ref": "rx1", "item_id": LISINOPRIL, "quantity": "30", "patient_key": "s-7"}
    asked = {**order, "protocol": "NCI-1", "request_id": "d1"}
    assert api.post("/api/v1/dispenses", json=asked).status_code == 201
    again = api.post("/api/v1/dispenses", json={**asked, "protocol": None})
    refused(again, 409, "other_protocol")
    rows = api.get("/api/v1/protocols/NCI-1/record", params={"limit": 1}).json()
    (line,) = rows["rows"]
    assert (line["entry"], line["balance"]["quantity"], rows["next_after"]) == (
        "received",
        "90",
        line["id"],
    )
    table = api.get("/api/v1/protocols/NCI-1/record", params={"format": "csv"})
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert table.text.count("\r\n") == 2
    closed = api.post("/api/v1/protocols/NCI-1/close", json={"reason": "accrual done"})
    assert closed.json()["state"] == "closed"
    assert [row["state"] for row in api.get("/api/v1/protocols").json()["rows"]] == ["closed"]
    refused(api.get("/api/v1/protocols/NCI-2/record"), 404, "protocol_not_found")


def test_an_excursion_holds_what_lay_there_until_a_person_releases_it(api: httpx.Client) -> None:
    seen = {
        "location_id": "shelf/A-03",
        "began_at": "2026-11-22T12:00:00Z",
        "observed_min": "9.5",
        "observed_max": "31",
        "source": "logger 7",
        "reason": "air conditioning failed",
    }
    found = api.post("/api/v1/excursions", json=seen)
    assert found.status_code == 201
    number = found.json()["excursion"]["id"]
    assert [(lot["lot"], lot["state"]) for lot in found.json()["lots"]] == [("L24A", "hold")]
    free = {"state": "released", "reason": "fine"}
    state = api.post(f"/api/v1/lots/{LISINOPRIL}/L24A/state", json=free)
    refused(state, 409, "lot_in_excursion")
    ended = {"ended_at": "2026-11-22T12:59:00Z", "reason": "repaired"}
    assert api.post(f"/api/v1/excursions/{number}/end", json=ended).json()["lots"] == [
        # Opened at 13:00, after the end: released by who said when it ended.
        {
            **found.json()["lots"][0],
            "state": "released",
            "released_by": "bench",
            "released_at": "2026-11-22T13:00:00Z",
            "reason": "repaired",
        }
    ]
    refused(api.post(f"/api/v1/excursions/{number}/end", json=ended), 409, "excursion_ended")
    lot = {"item_id": LISINOPRIL, "lot": "L24A", "reason": "stable"}
    refused(api.post(f"/api/v1/excursions/{number}/release", json=lot), 409, "lot_released")
    assert len(api.get("/api/v1/excursions").json()["rows"]) == 1
    naive = {**seen, "began_at": "2026-11-22T12:00:00"}
    refused(api.post("/api/v1/excursions", json=naive), 422, "invalid")


def test_the_commands_keep_protocols_places_and_excursions(run: Run) -> None:
    papers = ("--title", "T", "--sponsor", "NCI", "--investigator", "Dr Who")
    assert "open" in done(run("protocols", "open", "NCI-1", *papers))
    assert "Dr Who" in done(run("protocols", "list"))
    assert "area" in done(run("places", "add", "trials", "--kind", "area"))
    done(run("places", "add", "trials/1", "--in", "trials", "--json"))
    rule = ("--reason", "trial", "--protocol", "NCI-1", "--hazardous", "no", "--capacity", "200")
    told = done(run("places", "rule", "trials", *rule, "--storage", "room", "--only", LISINOPRIL))
    assert "hazardous   no" in told
    assert "protocol    NCI-1" in done(run("places", "rules", "trials/1"))
    assert LISINOPRIL in done(run("places", "rules"))
    rows = json.loads(done(run("places", "rules", "--json")))["rows"]
    assert rows[0]["rule"]["capacity"] == 200
    assert json.loads(done(run("places", "rules", "trials/1", "--json")))["own"] is None
    lot = ("--item", LISINOPRIL, "--lot", "N1", "--expiry", "2028-01-31")
    done(run("receive", "90", *lot, "--location", "trials/1"))
    order = ("--order", "rx1", "--patient", "s-7", "--protocol", "NCI-1")
    done(run("dispense", "create", LISINOPRIL, "30", *order))
    assert "received" in done(run("protocols", "record", "NCI-1"))
    assert done(run("protocols", "record", "NCI-1", "--csv")).count("\n") == 2
    assert len(json.loads(done(run("protocols", "record", "NCI-1", "--json")))["rows"]) == 1
    assert "closed" in done(run("protocols", "close", "NCI-1", "--reason", "done"))
    seen = ("--from", "2026-11-22T06:00-05:00", "--min", "9", "--max", "31", "--source", "log")
    told = done(run("excursions", "record", "trials", *seen, "--reason", "no cooling"))
    assert f"lot {LISINOPRIL} N1: hold" in told
    assert "it goes on" in done(run("excursions", "show", "1"))
    done(run("excursions", "end", "1", "2026-11-22T13:00Z", "--reason", "repaired"))
    free = ("1", LISINOPRIL, "N1", "--reason", "stable")
    assert "released by bench" in done(run("excursions", "release", *free))
    assert json.loads(done(run("excursions", "show", "1", "--json")))["lots"][0]["lot"] == "N1"
    assert "trials" in done(run("excursions", "list"))
    assert json.loads(done(run("excursions", "list", "--json")))["rows"][0]["ended_by"] == "bench"
    assert "say why" in failed(
        run("excursions", "release", "1", LISINOPRIL, "N1", "--reason", " "), 1
    )
