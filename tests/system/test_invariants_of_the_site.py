"""Invariants that only the whole site can show: one set of orders, and no name of a patient."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import inspect, select

from dispensed.ledger import reorder
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Store, Tx
from dispensed.model.planning import PolicyKind, ReorderPolicy
from dispensed.services.reordering import propose
from tests.ledger.book import ITEM, LATE_LOT, RECEIVING, STAMP, stocked
from tests.system.test_replay import quiet_site
from tests.system.web_bench import LISINOPRIL, OXYCODONE, Bench, bench

RUNS = 50
NAME = "Jane Roe"
KEY = "pk-7f3a"


def test_17_the_reorder_job_run_100_times_or_twice_at_once_makes_one_set_of_orders(
    ledger_url: str,
) -> None:
    async def run(*stores: Store) -> None:
        for _ in range(RUNS):
            await asyncio.gather(*(propose(quiet_site(store)) for store in stores))

    with Store.open(ledger_url) as one, Store.open(ledger_url) as other:
        one.write_sync(lambda tx: stocked(tx, 100, lot=LATE_LOT))
        policy = ReorderPolicy(PolicyKind.MIN_MAX, 200_000, 500_000, 30_000)
        one.write_sync(lambda tx: reorder.put_policy(tx, ITEM, RECEIVING, policy, STAMP))
        asyncio.run(run(one, other))
        rows = one.read_sync(lambda tx: reorder.proposals(tx, state=None))
    assert [(row.item_id, row.state, row.milli) for row in rows] == [(ITEM, "open", 420_000)]


# ---------------------------------------------------------------- no names (18)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def _properties(schema: object, found: Callable[[str, object], None]) -> None:
    """Tell every property of an OpenAPI document with its schema."""
    if isinstance(schema, dict):
        for name, inner in schema.get("properties", {}).items():
            found(name, inner)
        for inner in schema.values():
            _properties(inner, found)
    elif isinstance(schema, list):
        for inner in schema:
            _properties(inner, found)


def test_18_no_answer_and_no_table_has_a_place_for_a_patients_name(site: Bench) -> None:
    names: set[str] = set()

    def note(name: str, _schema: object) -> None:
        if "patient" in name or "birth" in name or "address" in name:
            names.add(name)

    _properties(site.app.openapi(), note)
    assert names == {"patient_key"}
    columns = {column.name for table in t.METADATA.tables.values() for column in table.columns}
    assert {name for name in columns if "patient" in name or "birth" in name} == {"patient_key"}


@pytest.mark.parametrize("field", ["patient_key", "order_ref"])
@pytest.mark.parametrize("path", ["dispenses", "controlled/removals"])
def test_18_a_name_in_place_of_the_opaque_key_is_refused_and_leaves_no_trace(
    site: Bench, path: str, field: str
) -> None:
    bodies: dict[str, dict[str, str]] = {
        "dispenses": {"item_id": LISINOPRIL, "quantity": "10"},
        "controlled/removals": {
            "item_id": OXYCODONE,
            "lot": "OX7",
            "location": "shelf/B-01",
            "quantity": "1",
        },
    }
    body = {**bodies[path], "request_id": "r1", "order_ref": "rx1", "patient_key": KEY, field: NAME}
    with site.client() as api:
        answer = api.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == 422, answer.text
    kept = site.store.read_sync(_everything)
    assert NAME not in kept
    assert NAME not in str(site.logs)


def test_18_answers_about_the_inventory_and_logs_hold_not_even_the_key(
    site: Bench,
) -> None:
    body = {"item_id": LISINOPRIL, "quantity": "10", "order_ref": "rx1", "patient_key": KEY}
    with site.client() as api:
        assert api.post("/api/v1/dispenses", json={**body, "request_id": "r1"}).is_success
        answers = [
            api.get(f"/api/v1/{path}").raise_for_status().text
            for path in ("stock", "movements", "lots", "discrepancies", "proposals", "recalls")
        ]
        (kept,) = site.store.read_sync(lambda tx: tx.scalars(select(t.dispense.c.patient_key)))
    assert kept == KEY
    assert [text for text in answers if KEY in text] == []
    assert KEY not in str(site.logs)


def _everything(tx: Tx) -> str:
    """Return all that the database holds, as text."""
    names = inspect(tx).get_table_names()
    known = [table for name, table in t.METADATA.tables.items() if name in names]
    return "\n".join(str(tx.execute(select(table)).all()) for table in known)
