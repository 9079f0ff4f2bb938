"""A ledger of the first release, with data in it, brought to the newest schema on both databases.

The rows are written in plain SQL against the first migration, and the chain is hashed here, so that
nothing of the present program made them.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta

import pytest
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from dispensed.ledger import audit, cases, catalog, discrepancies, post, read
from dispensed.ledger.database import Access, make_engine, store_url
from dispensed.ledger.engine import Store, Tx, upgrade
from dispensed.ledger.holds import BlockedLot
from dispensed.ledger.journal import Move
from dispensed.ledger.schema import alembic_config
from dispensed.model.catalog import EXTERNAL
from dispensed.model.movement import MovementKind as K
from tests.ledger.book import NOW, STAMP, TODAY

AT = datetime(2026, 11, 20, 15, 30, 0, 250, tzinfo=UTC)
DRUG, OXY = "00071015523", "00406055201"
Row = dict[str, object]
BASE: Row = {"actor": "tess", "reason": "", "recorded_at": AT}

MOVES = (
    # kind, item, lot, source, target, milli, dispense, message, claim, reverses
    ("opening", DRUG, "A12", "ext:opening", "shelf/A-01", 100_000, None, None, None, None),
    ("receive", DRUG, "B34", "ext:supplier", "receiving", 90_000, None, None, None, None),
    ("opening", OXY, "A12", "ext:opening", "robot1", 50_000, None, None, None, None),
    ("pick", DRUG, "A12", "shelf/A-01", "fill", 30_000, 1, None, None, None),
    ("dispense", DRUG, "A12", "fill", "ext:dispensed", 30_000, 1, None, None, None),
    ("transfer", DRUG, "A12", "shelf/A-01", "shelf/A-02", 5_000, None, None, None, None),
    ("reversal", DRUG, "A12", "shelf/A-02", "shelf/A-01", 5_000, None, None, None, 6),
    ("output", OXY, "A12", "robot1", "fill", 50_000, None, 1, None, None),
    ("found", OXY, "A12", "ext:found", "robot1", 4_000, None, None, None, None),
    ("output", OXY, "A12", "robot1", "fill", 4_000, None, 1, 1, None),
)
BALANCES = (
    # item, lot, place, on hand, held: added up by hand
    (DRUG, "A12", "ext:opening", -100_000, 0),
    (DRUG, "A12", "shelf/A-01", 70_000, 20_000),
    (DRUG, "A12", "shelf/A-02", 0, 0),
    (DRUG, "A12", "fill", 0, 0),
    (DRUG, "A12", "ext:dispensed", 30_000, 0),
    (DRUG, "B34", "ext:supplier", -90_000, 0),
    (DRUG, "B34", "receiving", 90_000, 0),
    (OXY, "A12", "ext:opening", -50_000, 0),
    (OXY, "A12", "robot1", 0, 0),
    (OXY, "A12", "fill", 54_000, 0),
    (OXY, "A12", "ext:found", -4_000, 0),
)
HASHED = (
    "id", "kind", "item_id", "lot", "source", "target", "milli", "occurred_at", "recorded_at",
    "actor", "reason", "request_id", "dispense_id", "inbox_id", "claim_id", "reverses", "prev_hash",
)  # fmt: skip
"""What a movement's hash covers, in its order."""


def _micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def movements() -> list[Row]:
    rows: list[Row] = []
    last = "0" * 64
    for number, (kind, item, lot, source, target, milli, *links) in enumerate(MOVES, start=1):
        row: Row = {
            "id": number,
            "kind": kind,
            "item_id": item,
            "lot": lot,
            "source": source,
            "target": target,
            "milli": milli,
            "occurred_at": AT - timedelta(hours=1),
            "request_id": "claim:1:10000" if links[2] else f"first:{number}",
            **BASE,
            **dict(zip(("dispense_id", "inbox_id", "claim_id", "reverses"), links, strict=True)),
            "prev_hash": last,
        }
        content = [
            _micros(value) if isinstance(value, datetime) else value
            for value in (row[name] for name in HASHED)
        ]
        encoded = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
        row["hash"] = last = hashlib.sha256(encoded.encode()).hexdigest()
        rows.append(row)
    return rows


def _item(item_id: str, name: str, schedule: str) -> Row:
    words = {"strength": "5 mg", "form": "tablet", "labeler": "Maker", "unit": "EA"}
    given = {"item_id": item_id, "name": name, "schedule": schedule, "storage": "room"}
    flags = {"pack_milli": 30_000, "hazardous": False, "high_alert": schedule != "none"}
    return {**words, **given, **flags, "recorded_at": AT}


def _dispense(number: int, state: str, counted: int | None, by: str | None) -> Row:
    return {
        "id": number, "order_ref": f"rx{number}", "request_id": f"ask:{number}", "item_id": DRUG,
        "milli": 30_000 if by else 20_000, "patient_key": "p-7", "priority": 5, "state": state,
        "route": "hand", "counted_milli": counted, "verified_by": by, "note": "",
        "requested_at": AT, "updated_at": AT, "recorded_at": AT,
    }  # fmt: skip


def first_release() -> dict[str, list[Row]]:
    """Return rows for every table that the first release fills, parents first."""
    places = (
        ("site", "site", None), ("shelf/A-01", "bin", None), ("shelf/A-02", "bin", None),
        ("receiving", "receiving", None), ("fill", "fill", None), ("rejects", "rejects", None),
        ("outdate", "outdate", None), ("robot1", "device", "robot1"),
    )  # fmt: skip
    at: Row = {"recorded_at": AT}
    open_, closed = {"state": "open"}, {"state": "closed", "closed_at": AT}
    differs: Row = {"kind": "snapshot", "item_id": OXY, "detail": "", "reason": "", **at}
    differs |= {"opened_at": AT, "updated_at": AT, "lot": "A12"}
    recall: Row = {"recall_class": "II", "reason": "", "actor": "tess", "opened_at": AT, **at}
    return {
        "location": [
            {"location_id": name, "kind": kind, "device": device, **at}
            for name, kind, device in places
        ],
        "item": [_item(DRUG, "Atorvastatin", "none"), _item(OXY, "Oxycodone", "CII")],
        "lot": [
            {"item_id": item, "lot": lot, "expiry": expiry, "expiry_source": "scanned",
             "state": state, **at}
            for item, lot, expiry, state in (
                (DRUG, "A12", date(2027, 3, 31), "released"),
                (DRUG, "B34", date(2028, 3, 31), "recalled"),
                (OXY, "A12", date(2027, 6, 30), "released"),
            )
        ],
        "dispense": [
            _dispense(1, "settled", 30_000, "pat"), _dispense(2, "reserved", None, None),
        ],
        "inbox": [
            {"id": 1, "device_id": "robot1", "key": "m1", "kind": "OutputMessage", "raw": b"<x/>",
             "content_hash": "9", "received_at": AT, "state": "applied", "note": "", **at}
        ],
        "effect": [{"device_id": "robot1", "effect_key": "m1", "inbox_id": 1, **at}],
        "unbooked": [
            {"id": 1, "request_id": "first:8", "kind": "output", "item_id": OXY, "lot": "A12",
             "location_id": "robot1", "target": "fill", "milli": 10_000, "remaining": 6_000,
             "waived": 0, "occurred_at": AT, "inbox_id": 1, **BASE}
        ],
        "movement": movements(),
        "balance": [
            {"item_id": item, "lot": lot, "location_id": place, "on_hand": on_hand, "held": held,
             "external": place.startswith("ext:"), **at}
            for item, lot, place, on_hand, held in BALANCES
        ],
        "reservation": [
            {"id": 1, "request_id": "hold", "dispense_id": 2, "item_id": DRUG, "lot": "A12",
             "location_id": "shelf/A-01", "milli": 20_000, "remaining": 20_000, "updated_at": AT,
             **open_, **BASE}
        ],
        "discrepancy": [
            {"id": 1, "location_id": "robot1", "difference": -6_000, **differs, **open_},
            {"id": 2, "location_id": "fill", "difference": 1_000, "closed_by": "pat", **differs,
             **closed},
        ],
        "recall_case": [
            {"id": 1, "reference": "D-1", "item_id": DRUG, "lot": "B34", **recall, **open_},
            {"id": 2, "reference": "D-0", "item_id": DRUG, "lot": None, **recall, **closed},
        ],
        "reorder_policy": [
            {"item_id": DRUG, "location_id": "shelf/A-01", "kind": "min_max", "min_milli": 30_000,
             "max_milli": 90_000, "pack_milli": 30_000, "minimum_packs": 1, "actor": "tess", **at}
        ],
        "proposal": [
            {"id": 1, "item_id": DRUG, "location_id": "shelf/A-01", "milli": 60_000,
             "received_milli": 0, "state": "open", "explanation": "{}", "actor": "jobs",
             "updated_at": AT, **at}
        ],
        "receipt": [
            {"id": 1, "movement_id": 2, "order_ref": "PO-1", "scan": "", "actor": "tess", **at}
        ],
        "expiry_flag": [
            {"item_id": DRUG, "lot": "A12", "location_id": "shelf/A-01", "tier_days": 180,
             "actor": "jobs", **at}
        ],
        "job_run": [
            {"job": "expiry", "slot": "2026-11-20T10:00:00Z", "state": "done", "started_at": AT,
             "finished_at": AT, "result": "1 lots flagged", **at}
        ],
        "audit_event": [
            {"id": 1, "at": AT, "verb": "lot.added", "subject": f"lot {DRUG}/A12", "details": "{}",
             **BASE}
        ],
        "api_token": [
            {"id": 1, "name": "tess", "sha256": "8" * 64, "role": "admin", "created_at": AT, **at}
        ],
    }  # fmt: skip


def fill(tx: Connection) -> None:
    """Write the rows of the first release as they are stored, then set the head of the chain."""

    def stored(value: object) -> object:
        if tx.dialect.name == "sqlite" and isinstance(value, datetime):
            return _micros(value)
        if tx.dialect.name == "sqlite" and isinstance(value, date):
            return value.isoformat()
        return value

    def run(statement: str, values: Mapping[str, object]) -> None:
        tx.execute(text(statement), {name: stored(value) for name, value in values.items()})

    for table, rows in first_release().items():
        for row in rows:
            names = ", ".join(row)
            run(f"INSERT INTO {table} ({names}) VALUES (:{names.replace(', ', ', :')})", row)  # noqa: S608
        if tx.dialect.name == "postgresql" and rows[0].get("id") and table != "movement":
            tx.execute(text(f"SELECT setval('{table}_id_seq', {len(rows)})"))
    end = movements()[-1]
    run("UPDATE chain_head SET last_id = :id, hash = :hash", {"id": end["id"], "hash": end["hash"]})


def contents(
    tx: Connection, columns: Mapping[str, list[str]]
) -> dict[str, list[tuple[object, ...]]]:
    return {
        table: [
            tuple(row)
            for row in tx.execute(text(f"SELECT {', '.join(names)} FROM {table}"))  # noqa: S608
        ]
        for table, names in columns.items()
    }


@pytest.fixture
def upgraded(
    empty_url: str,
) -> tuple[str, dict[str, list[tuple[object, ...]]], dict[str, list[str]]]:
    """A ledger of the first release brought up to date, and what it held before."""
    engine = make_engine(store_url(empty_url), Access.WRITE)
    columns: dict[str, list[str]] = {}
    with engine.begin() as tx:
        command.upgrade(alembic_config(tx), "0001")
        fill(tx)
        for table in (*first_release(), "chain_head"):
            columns[table] = list(tx.execute(text(f"SELECT * FROM {table}")).keys())  # noqa: S608
        before = contents(tx, columns)
    engine.dispose()
    upgrade(empty_url)
    return empty_url, before, columns


def test_a_ledger_of_the_first_release_is_upgraded_unchanged_clean_and_usable(
    upgraded: tuple[str, dict[str, list[tuple[object, ...]]], dict[str, list[str]]],
) -> None:
    url, before, columns = upgraded
    assert min(len(rows) for rows in before.values()) >= 1
    with Store.open(url) as store:
        after = store.read_sync(lambda tx: contents(tx, columns))
        for table, rows in before.items():
            added = [row for row in after[table] if row not in rows]
            assert [row for row in after[table] if row in rows] == rows, table
            assert table == "location" or added == [], table
        report = store.read_sync(audit.verify)
        assert report.findings == ()
        assert (report.movements, report.balances, report.reservations) == (10, 11, 1)
        _every_account_is_there(store)
        _its_discrepancies_have_records(store)
        _what_was_begun_is_ended(store)
        _the_new_movements_go(store)
        _the_journal_is_still_append_only(store)
        assert store.read_sync(audit.verify).findings == ()


def _every_account_is_there(store: Store) -> None:
    kinds = {place.location_id: place.kind for place in store.read_sync(catalog.locations)}
    assert {name: kind for name, kind in kinds.items() if name.startswith("ext:")} == EXTERNAL
    assert kinds["robot1"].value == "device"


def _its_discrepancies_have_records(store: Store) -> None:
    rows = store.read_sync(lambda tx: cases.page(tx, state=None))
    assert [(row.location_id, row.state, row.size, row.reason_code) for row in rows] == [
        ("robot1", "open", -6_000, None),
        ("fill", "closed", 1_000, "earlier_release"),
    ]


def _moved(store: Store, kind: K, source: str, target: str, lot: str = "A12") -> int:
    move = Move(
        kind=kind,
        item_id=DRUG,
        lot=lot,
        source=source,
        target=target,
        milli=1000,
        request_id=f"new:{kind}:{lot}",
        occurred_at=NOW,
    )
    return store.write_sync(lambda tx: post.post(tx, move, STAMP, on_date=TODAY)).movement_id


def _what_was_begun_is_ended(store: Store) -> None:
    assert store.write_sync(lambda tx: post.waive(tx, 1, STAMP)) == 6000
    store.write_sync(lambda tx: post.release(tx, 1, STAMP))
    assert store.read_sync(lambda tx: read.free_milli(tx, DRUG, "A12", "shelf/A-01")) == 70_000
    closing: Callable[[Tx], object] = lambda tx: discrepancies.close(tx, 1, STAMP)  # noqa: E731
    store.write_sync(closing)
    assert store.read_sync(lambda tx: discrepancies.get(tx, 1)).state == "closed"
    with pytest.raises(BlockedLot, match="recalled"):
        _moved(store, K.LOAD, "receiving", "robot1", lot="B34")


def _the_new_movements_go(store: Store) -> None:
    assert _moved(store, K.CONSUME, "shelf/A-01", "ext:repack") == 11
    assert _moved(store, K.SAMPLE, "shelf/A-01", "ext:sample") == 12


def _the_journal_is_still_append_only(store: Store) -> None:
    for statement in ("UPDATE movement SET reason = 'x'", "DELETE FROM audit_event"):
        with pytest.raises(DBAPIError, match="append-only"):
            store.write_sync(lambda tx, said=statement: tx.execute(text(said)))  # type: ignore[misc] # bound now
