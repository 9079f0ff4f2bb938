"""Recall cases over HTTP: from the notice to the closed case with its documents."""

import csv
import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dispensed.ledger import tokens
from tests.system.web_bench import LISINOPRIL, STAMP, Bench, bench

NOTICE = {
    "recall_number": "D-0815-2026",
    "event_id": "91234",
    "classification": "Class I",
    "recalling_firm": "Lupin Pharmaceuticals",
    "reason_for_recall": "Presence of foreign substance",
    "product_description": "Lisinopril Tablets USP, 10 mg, 90-count bottle, NDC 68180-513-01",
    "code_info": "Lot L24A, Exp. 12/10/2026",
}


@pytest.fixture
def made(sqlite_template: Path, tmp_path: Path) -> Iterator[Bench]:
    shutil.copyfile(sqlite_template, tmp_path / "dispensed.db")
    with bench(tmp_path) as opened:
        yield opened


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_recall_goes_from_its_notice_to_a_closed_case_with_two_signatures(made: Bench) -> None:
    second = made.store.write_sync(lambda tx: tokens.create(tx, "paula", "pharmacist", STAMP))
    with made.client() as ina, made.client(second) as paula:
        document = {"meta": {}, "results": [NOTICE]}
        done = ina.post("/api/v1/recalls/notices", json={"content": json.dumps(document)})
        assert (done.status_code, done.json()["opened"], done.json()["parts"]) == (201, [1], 0)
        (case,) = ina.get("/api/v1/recalls/cases").json()["rows"]
        assert (case["reference"], case["recall_class"]) == ("D-0815-2026", "I")
        path = f"/api/v1/recalls/cases/{case['id']}"
        (task,) = ina.get(path).json()["tasks"]
        assert (task["location_id"], task["state"]) == ("shelf/A-03", "open")
        signing = {"statement": "all pulled and counted"}
        refused = ina.post(f"{path}/signatures", json=signing)
        assert refusal(refused) == (409, "recall_not_ready")
        assert "shelf/A-03 has not answered for lot L24A" in refused.json()["detail"]
        found = {
            "item_id": LISINOPRIL,
            "lot": "L24A",
            "location_id": "shelf/A-03",
            "found": "45",
            "request_id": "a1",
        }
        answered = ina.post(f"{path}/answers", json=found).json()
        assert answered["moved"] == {"quantity": "45", "unit": "EA", "milli": 45000}
        assert ina.post(f"{path}/answers", json=found).json() == answered
        assert ina.post(f"{path}/signatures", json=signing).status_code == 201
        unsigned = ina.post(f"{path}/close", json={"reason": "returned"})
        assert refusal(unsigned) == (409, "recall_unsigned")
        assert paula.post(f"{path}/signatures", json=signing).json()["blockers"] == []
        closed = paula.post(f"{path}/close", json={"reason": "returned"}).json()
        assert (closed["state"], closed["closed_by"]) == ("closed", "paula")
        check_documents(ina, path)


def check_documents(api: httpx.Client, path: str) -> None:
    whole = api.get(f"{path}/export").json()
    assert whole["case"]["state"] == "closed"
    assert [each["actor"] for each in whole["signatures"]] == ["bench", "paula"]
    assert json.loads(whole["notices"][0]["content"]) == NOTICE
    with zipfile.ZipFile(io.BytesIO(api.get(f"{path}/export.zip").content)) as file:
        assert json.loads(file.read("case.json"))["case"] == {
            **whole["case"],
            "exported_at": json.loads(file.read("case.json"))["case"]["exported_at"],
        }
        (sums,) = csv.DictReader(io.StringIO(file.read("sums.csv").decode()))
        assert (sums["received"], sums["quarantined"], sums["adds_up"]) == ("45", "45", "True")
        (place,) = csv.DictReader(io.StringIO(file.read("places.csv").decode()))
        assert (place["location_id"], place["found"], place["unit"]) == ("shelf/A-03", "45", "EA")
        raw = file.read("notices/1.json")
    assert hashlib.sha256(raw).hexdigest() == whole["notices"][0]["sha256"]


def test_a_part_for_a_person_is_listed_with_its_place_and_decided(made: Bench) -> None:
    text = "Lisinopril Tablets USP, 10 mg, 90-count bottle"
    with made.client() as api:
        notice = json.dumps({**NOTICE, "product_description": text, "code_info": "Lot L24A"})
        api.post("/api/v1/recalls/notices", json={"content": notice})
        rows = api.get("/api/v1/recalls/unresolved").json()["rows"]
        (part,) = [row for row in rows if row["candidates"]]
        assert "Lot L24A"[part["start"] : part["end"]] == part["text"] == "L24A"
        assert part["candidates"] == [{"item_id": LISINOPRIL, "lot": "L24A"}]
        wish = {"match": True, "reason": "bottle compared", "targets": part["candidates"]}
        path = f"/api/v1/recalls/unresolved/{part['id']}/decision"
        assert api.post(path, json={**wish, "targets": []}).status_code == 422
        assert api.post(path, json=wish).json()["decided_by"] == "bench"
        assert refusal(api.post(path, json=wish)) == (409, "recall_decided")
        (lot,) = [row for row in api.get("/api/v1/lots").json()["rows"] if row["lot"] == "L24A"]
        assert lot["state"] == "recalled"


def test_a_case_is_opened_by_hand_and_what_cannot_be_read_is_kept(made: Bench) -> None:
    with made.client() as api:
        body = {
            "reference": "LETTER-7",
            "recall_class": "III",
            "reason": "wrong label",
            "lines": [{"lot": None, "ndc": "68180-513-01"}],
        }
        case = api.post("/api/v1/recalls/cases", json=body).json()
        assert (case["state"], case["source"]) == ("open", "manual")
        (block,) = api.get("/api/v1/recalls", params={"state": "open"}).json()["rows"]
        single = api.post(f"/api/v1/recalls/{block['id']}/close", json={"reason": "quick"})
        assert refusal(single) == (409, "recall_line_of_case")
        assert refusal(api.get("/api/v1/recalls/cases/9")) == (404, "recall_case_not_found")
        odd = api.post("/api/v1/recalls/notices", json={"content": "no json", "source": "fax"})
        assert len(odd.json()["unreadable"]) == 1
        (kept,) = api.get("/api/v1/recalls/notices/unreadable").json()["rows"]
        assert (kept["source"], kept["outcome"]) == ("fax", "unreadable")
        assert api.get("/api/v1/recalls/cases", params={"state": "odd"}).status_code == 422
