"""The HTTP API over a real socket: what it answers, and what it refuses without a change."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dispensed.devices.supervisor import Link
from tests.system.web_bench import LISINOPRIL, OXYCODONE, SALINE, Bench, bench, trouble

Json = dict[str, object]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One pharmacy for tests that change nothing."""
    with bench(tmp_path_factory.mktemp("shared")) as made:
        yield made


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


@pytest.fixture
def api(fresh: Bench) -> Iterator[httpx.Client]:
    with fresh.client() as client:
        yield client


def refused(answer: httpx.Response, status: int, code: str) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (answer.status_code, body["code"], body["status"]) == (status, code, status)
    assert body["next"]
    return str(body["detail"])


def receipt(**changed: object) -> Json:
    typed = {"quantity": "90", "item_id": LISINOPRIL, "lot": "N1", "expiry": "2028-01-31"}
    return {**typed, "request_id": "r1", **changed}


# ---------------------------------------------------------------- reading


def test_stock_tells_what_is_on_hand_held_blocked_and_available(shared: Bench) -> None:
    with shared.client() as api:
        rows = api.get("/api/v1/stock", params={"item": OXYCODONE}).json()["rows"]
    assert [
        (row["lot"], row["lot_state"], row["on_hand"], row["blocked"]["milli"], row["available"])
        for row in sorted(rows, key=lambda row: row["lot"])
    ] == [
        (
            "OX7",
            "released",
            {"quantity": "100", "unit": "EA", "milli": 100000},
            0,
            {"quantity": "100", "unit": "EA", "milli": 100000},
        ),
        (
            "OX8",
            "hold",
            {"quantity": "20.5", "unit": "EA", "milli": 20500},
            20500,
            {"quantity": "0", "unit": "EA", "milli": 0},
        ),
    ]


def test_lots_that_expire_soon_come_first_expired_ones_included(shared: Bench) -> None:
    with shared.client() as api:
        rows = api.get("/api/v1/lots", params={"expiring_days": 30}).json()["rows"]
    assert [(row["lot"], row["expiry"], row["expired"]) for row in rows] == [
        ("NA/1", "2026-11-20", True),
        ("L24A", "2026-12-10", False),
    ]


def test_movements_are_paged_by_id(shared: Bench) -> None:
    with shared.client() as api:
        first = api.get("/api/v1/movements", params={"limit": 2}).json()
        rest = api.get("/api/v1/movements", params={"after": first["next_after"]}).json()
    assert [row["id"] for row in first["rows"]] == [1, 2]
    assert first["next_after"] == 2
    assert [row["id"] for row in rest["rows"]] == [3, 4, 5]
    assert rest["next_after"] is None


def test_items_are_found_by_name_and_shown_with_their_pack(shared: Bench) -> None:
    with shared.client() as api:
        rows = api.get("/api/v1/items", params={"query": "lisin"}).json()["rows"]
        one = api.get(f"/api/v1/items/{LISINOPRIL}").json()
    assert rows == [one]
    assert one["pack"] == {"quantity": "90", "unit": "EA", "milli": 90000}


def test_devices_are_shown_with_state_reason_and_since(fresh: Bench, api: httpx.Client) -> None:
    fresh.links[0] = replace(fresh.links[0], state=Link.DOWN, reason="no answer for 5 s")
    robot = api.get("/api/v1/devices").json()["rows"][0]
    assert (robot["name"], robot["state"], robot["reason"]) == (
        "robot1",
        "down",
        "no answer for 5 s",
    )
    assert robot["since"] == "2026-11-22T12:41:07Z"
    assert robot["model"] == "Robot 5"


def test_a_job_is_run_on_demand(api: httpx.Client) -> None:
    assert api.post("/api/v1/jobs/reorder/run").json()["result"] == "0 proposals open"
    assert refused(api.post("/api/v1/jobs/nope/run"), 404, "not_found") == (
        "no job 'nope'; there are reorder, verify"
    )
    assert [row["name"] for row in api.get("/api/v1/jobs").json()["rows"]] == ["reorder", "verify"]


# ---------------------------------------------------------------- changing


def test_a_receipt_is_booked_once_however_often_it_is_sent(api: httpx.Client) -> None:
    scan = "]d2010036818051301817280131" + "10N1"
    first = api.post("/api/v1/receipts", json={"quantity": "90", "scan": scan, "request_id": "r1"})
    again = api.post("/api/v1/receipts", json={"quantity": "90", "scan": scan, "request_id": "r1"})
    assert first.status_code == 201
    assert (first.json()["lot"], first.json()["expiry"]) == ("N1", "2028-01-31")
    assert (first.json()["repeated"], again.json()["repeated"]) == (False, True)
    assert first.json()["movement_id"] == again.json()["movement_id"] == 6
    stock = api.get("/api/v1/stock", params={"lot": "N1"}).json()["rows"]
    assert [row["on_hand"]["milli"] for row in stock] == [90000]
    assert len(api.get("/api/v1/receipts").json()["rows"]) == 1


def test_the_request_id_may_come_in_a_header_but_not_two_of_them(api: httpx.Client) -> None:
    body = receipt()
    del body["request_id"]
    key = {"Idempotency-Key": "k1"}
    assert api.post("/api/v1/receipts", json=body, headers=key).status_code == 201
    assert api.post("/api/v1/receipts", json=body, headers=key).json()["repeated"] is True
    assert "give a request_id" in refused(api.post("/api/v1/receipts", json=body), 422, "invalid")
    both = api.post("/api/v1/receipts", json=receipt(), headers=key)
    assert refused(both, 422, "invalid") == "request_id 'r1' and Idempotency-Key 'k1' differ"


def test_a_dispense_is_ordered_shown_and_voided(api: httpx.Client) -> None:
    body = {
        "order_ref": "RX-1",
        "item_id": LISINOPRIL,
        "quantity": "30",
        "patient_key": "p-77",
        "request_id": "q1",
    }
    made = api.post("/api/v1/dispenses", json=body)
    assert (made.status_code, made.json()["state"]) == (201, "requested")
    assert api.post("/api/v1/dispenses", json=body).json()["id"] == made.json()["id"]
    path = f"/api/v1/dispenses/{made.json()['id']}"
    assert api.get(path).json()["dispense"]["ordered"]["quantity"] == "30"
    assert "requested" in refused(api.post(f"{path}/verify"), 409, "conflict")
    voided = api.post(f"{path}/void", json={"reason": "prescriber withdrew it"})
    assert voided.json()["state"] == "voided"
    assert [r["state"] for r in api.get("/api/v1/dispenses").json()["rows"]] == ["voided"]
    assert "p-77" not in api.get("/api/v1/dispenses").text


def test_a_recall_blocks_the_lot_and_stays_until_a_person_closes_it(api: httpx.Client) -> None:
    body = {
        "reference": "D-0123-2026",
        "recall_class": "II",
        "reason": "failed dissolution",
        "lot": "L25C",
        "ndc": "68180-513-01",
    }
    case = api.post("/api/v1/recalls", json=body)
    assert case.status_code == 201
    stock = api.get("/api/v1/stock", params={"lot": "L25C"}).json()["rows"][0]
    assert (stock["lot_state"], stock["available"]["milli"]) == ("recalled", 0)
    closed = api.post(f"/api/v1/recalls/{case.json()['id']}/close", json={"reason": "returned"})
    assert closed.json()["state"] == "closed"


def test_a_lot_whose_number_holds_a_slash_can_be_put_on_hold(api: httpx.Client) -> None:
    answer = api.post(
        f"/api/v1/lots/{SALINE}/NA%2F1/state", json={"state": "damaged", "reason": "leaking bag"}
    )
    assert (answer.status_code, answer.json()["state"]) == (200, "damaged")


def test_a_discrepancy_is_closed_with_a_reason_only(fresh: Bench, api: httpx.Client) -> None:
    fresh.store.write_sync(lambda tx: trouble(tx, LISINOPRIL, "L25C", "robot1"))
    row = api.get("/api/v1/discrepancies").json()["rows"][0]
    assert row["difference"] == {"quantity": "-2", "unit": "EA", "milli": -2000}
    path = f"/api/v1/discrepancies/{row['id']}/close"
    assert "reason" in refused(api.post(path, json={"reason": ""}), 422, "invalid")
    assert api.post(path, json={"reason": "recounted"}).json()["closed_by"] == "bench"
    assert api.get("/api/v1/discrepancies").json()["rows"] == []
    assert len(api.get("/api/v1/discrepancies", params={"state": "all"}).json()["rows"]) == 1


def test_items_bins_and_transfers_make_a_round(api: httpx.Client) -> None:
    item = {
        "item_id": "00904629161",
        "name": "Aspirin",
        "unit": "EA",
        "pack_quantity": "100",
        "policy": {"kind": "par", "minimum": "200", "maximum": "200"},
    }
    assert api.post("/api/v1/items", json=item).status_code == 201
    assert api.post("/api/v1/locations", json={"location_id": "shelf/C-9"}).status_code == 201
    assert "shelf/C-9" in api.get("/api/v1/locations").text
    move = {
        "item_id": LISINOPRIL,
        "lot": "L24A",
        "source": "shelf/A-03",
        "target": "shelf/C-9",
        "quantity": "5",
        "request_id": "t1",
    }
    assert api.post("/api/v1/transfers", json=move).json() == {"movement_id": 6}
    assert refused(
        api.post("/api/v1/transfers", json={**move, "quantity": "41", "request_id": "t2"}),
        409,
        "insufficient_stock",
    )


def test_a_formulary_is_taken_whole_or_not_at_all(api: httpx.Client) -> None:
    bad = api.post("/api/v1/items/import", content=b"item_id,name\nx,y\n")
    assert refused(bad, 422, "bad_formulary")
    demo = Path(__file__).parents[2] / "config" / "formulary.demo.csv"
    headers = {"Content-Type": "text/csv"}
    good = api.post("/api/v1/items/import", content=demo.read_bytes(), headers=headers)
    assert good.json() == {"items": 90}


def test_a_machine_that_is_down_is_a_problem_of_the_machine(api: httpx.Client) -> None:
    sample = {"item_id": LISINOPRIL, "pieces": 10}
    text = refused(api.post("/api/v1/devices/counter1/sample", json=sample), 502, "device_problem")
    assert "counter1 is down" in text
    text = refused(api.post("/api/v1/devices/robot1/reconcile"), 502, "device_problem")
    assert "robot1" in text


# ---------------------------------------------------------------- refusing


REFUSALS = [
    (receipt(quantity="1.2345"), 422, "bad_quantity", "1.2345"),
    (receipt(quantity="-3"), 422, "bad_quantity", "-3"),
    (receipt(quantity="0"), 422, "invalid", LISINOPRIL),
    (receipt(item_id="99999999999"), 404, "item_not_found", "99999999999"),
    (receipt(item_id=None, ndc="6818051301"), 422, "bad_ndc", "6818051301"),
    (receipt(item_id=OXYCODONE, ndc="68180-513-01"), 422, "invalid", LISINOPRIL),
    (receipt(lot=None), 422, "invalid", "lot missing"),
    (receipt(lot="L24A"), 409, "expiry_conflict", "2026-12-10"),
    (receipt(scan="]d20100368180513016"), 422, "bad_gtin", "00368180513016"),
    (receipt(location="nowhere"), 404, "location_not_found", "nowhere"),
    (receipt(expiry="2028-02-30"), 422, "invalid", "2028-02-30"),
    (receipt(colour="blue"), 422, "invalid", "colour"),
]


@pytest.mark.parametrize(("body", "status", "code", "named"), REFUSALS)
def test_a_bad_receipt_names_the_thing_and_changes_nothing(
    shared: Bench, body: Json, status: int, code: str, named: str
) -> None:
    with shared.client() as api:
        before = api.get("/api/v1/movements").json()
        detail = refused(api.post("/api/v1/receipts", json=body), status, code)
        assert named in detail
        assert api.get("/api/v1/movements").json() == before


QUANTITY = st.one_of(
    st.from_regex(r"-?[0-9]{1,3}\.[0-9]{4,8}", fullmatch=True),
    st.sampled_from(["", "1e3", "NaN", "inf", "+5", "1,5", ".5", "5.", "0x10", "5 ML", " 5"]),
    st.integers(max_value=-1).map(str),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(quantity=QUANTITY)
def test_no_ill_formed_quantity_gets_through(shared: Bench, quantity: str) -> None:
    with shared.client() as api:
        answer = api.post("/api/v1/receipts", json=receipt(quantity=quantity))
        assert answer.status_code == 422
        assert api.get("/api/v1/movements").json()["rows"][-1]["id"] == 5


@settings(max_examples=25, deadline=None)
@given(body=st.binary(max_size=200))
def test_no_body_is_a_fault_of_the_server(shared: Bench, body: bytes) -> None:
    with shared.client() as api:
        headers = {"Content-Type": "application/json"}
        for path in ("/api/v1/receipts", "/api/v1/dispenses", "/api/v1/recalls"):
            answer = api.post(path, content=body, headers=headers)
            assert 400 <= answer.status_code < 500
            assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_beyond_the_limit_is_not_read(shared: Bench) -> None:
    with shared.client() as api:
        huge = json.dumps(receipt(reference="x" * 70_000)).encode()
        assert "65536" in refused(api.post("/api/v1/receipts", content=huge), 413, "too_large")

        def chunks() -> Iterator[bytes]:
            for _ in range(9):
                yield b" " * 8192

        headers = {"Content-Type": "application/json"}
        answer = api.post("/api/v1/receipts", content=chunks(), headers=headers)
        assert refused(answer, 413, "too_large")


def test_an_unknown_address_or_method_is_a_problem_document(shared: Bench) -> None:
    with shared.client() as api:
        refused(api.get("/api/v1/nothing"), 404, "not_found")
        assert api.delete("/api/v1/items").status_code == 405


def test_a_fault_of_our_own_tells_no_details(fresh: Bench) -> None:
    fresh.jobs.failing = None  # type: ignore[assignment] # makes the handler raise
    with fresh.client() as api:
        text = refused(api.get("/api/v1/jobs"), 500, "error")
    assert text == "GET /api/v1/jobs failed inside the daemon"


# ---------------------------------------------------------------- health, metrics, events


def test_readiness_names_every_part_that_fails(fresh: Bench) -> None:
    with fresh.anonymous() as api:
        assert api.get("/healthz").text == "ok\n"
        assert api.get("/readyz").json() == {"ready": True, "failing": []}
        since = datetime(2026, 11, 22, 12, 59, tzinfo=UTC)
        fresh.links[0] = replace(fresh.links[0], state=Link.DOWN, reason="no answer", since=since)
        fresh.jobs.failing = {"verify": "movement 4 differs"}
        answer = api.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["failing"] == [
        {"part": "device robot1", "reason": "down since 2026-11-22T12:59:00Z: no answer"},
        {"part": "job verify", "reason": "movement 4 differs"},
    ]


def test_metrics_count_postings_messages_and_devices(fresh: Bench, api: httpx.Client) -> None:
    assert 'dispensed_stock_postings_total{kind="opening"} 5.0' in api.get("/metrics").text
    fresh.store.write_sync(trouble)
    api.post("/api/v1/receipts", json=receipt())
    text = api.get("/metrics").text
    for line in (
        'dispensed_stock_postings_total{kind="opening"} 5.0',
        'dispensed_stock_postings_total{kind="receive"} 1.0',
        "dispensed_journal_head_id 6.0",
        'dispensed_inbox_messages_total{device="scale1",kind="garbage"} 1.0',
        'dispensed_device_up{capability="cabinet",device="robot1",protocol="wwks2"} 1.0',
        'dispensed_dispenses{state="in_doubt"} 0.0',
        "dispensed_discrepancies_open 1.0",
        "dispensed_store_read_only 0.0",
        'dispensed_job_failing{job="verify"} 0.0',
    ):
        assert line in text.splitlines()


def test_events_tell_the_topic_that_changed(fresh: Bench, api: httpx.Client) -> None:
    with api.stream("GET", "/api/v1/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 2000"
        fresh.notify("recalls")
        heard = [line for line in (next(lines) for _ in range(3)) if line]
    assert heard == ["event: change", "data: recalls"]
