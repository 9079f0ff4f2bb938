"""Verification: a sound ledger has no findings; every tampering is found and its row is named."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, make_url, select, text, update

from dispensed.ledger import audit, dispenses, post
from dispensed.ledger import tables as t
from dispensed.ledger.audit import Finding, Head
from dispensed.ledger.engine import Store, StoreUnavailable, Tx
from dispensed.ledger.journal import movement_hash
from dispensed.model.dispensing import DispenseState
from tests.ledger.book import (
    DISPENSED,
    FILL,
    FOUND,
    ITEM,
    LOT,
    NOW,
    ROBOT,
    SHELF,
    SHELF2,
    STAMP,
    TODAY,
    K,
    move,
    order,
    posted,
    stocked,
)


def _busy(tx: Tx) -> None:
    """Have ten movements, one reversal, a claim half paid, a hold and a settled dispense."""
    stocked(tx)
    first = order(tx, "rx1", 10)
    second = order(tx, "rx2", 5)
    for kind, source, target, units in (
        (K.PICK, SHELF, FILL, 10),
        (K.DISPENSE, FILL, DISPENSED, 10),
        (K.TRANSFER, SHELF, SHELF2, 20),
        (K.TRANSFER, SHELF, SHELF2, 7),
        (K.LOAD, SHELF, ROBOT, 30),
    ):
        given = first if kind in (K.PICK, K.DISPENSE) else None
        wanted = move(kind, source, target, units, f"{kind}{units}", dispense_id=given)
        if kind is K.DISPENSE:
            _settle(tx, first)
        post.post(tx, wanted, STAMP, on_date=TODAY)
    post.reverse(tx, 5, request_id="undo", occurred_at=NOW, stamp=STAMP)
    post.post_fact(tx, move(K.OUTPUT, ROBOT, FILL, 40, "out"), STAMP)
    post.post_fact(tx, move(K.FOUND, FOUND, ROBOT, 4, "found"), STAMP)
    post.reserve(
        tx,
        dispense_id=second,
        item_id=ITEM,
        lot=LOT,
        location=SHELF2,
        milli=5000,
        request_id="hold",
        stamp=STAMP,
        on_date=TODAY,
    )


def _settle(tx: Tx, dispense_id: int) -> None:
    for state in (DispenseState.RESERVED, DispenseState.COMMANDED):
        dispenses.set_state(tx, dispense_id, state, STAMP)
    dispenses.set_state(tx, dispense_id, DispenseState.COUNTED, STAMP, counted_milli=10_000)
    dispenses.set_state(tx, dispense_id, DispenseState.VERIFIED, STAMP, verified_by="pat")
    dispenses.set_state(tx, dispense_id, DispenseState.SETTLED, STAMP)


def _tamper(store: Store, *statements: object) -> None:
    """Run statements with the triggers off, as somebody with the file or the superuser could."""

    def run(tx: Tx) -> None:
        if store.dialect == "sqlite":
            tx.execute(text("PRAGMA defer_foreign_keys=ON"))
            for table in ("movement", "audit_event"):
                for verb in ("update", "delete"):
                    tx.execute(text(f"DROP TRIGGER IF EXISTS {table}_no_{verb}"))
        else:
            tx.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            tx.execute(statement)  # type: ignore[call-overload] # several kinds

    store.write_sync(run)


def _findings(store: Store) -> list[tuple[str, str]]:
    report = store.read_sync(audit.verify)
    assert report.ok == (not report.findings)
    assert report.findings_total == len(report.findings)
    return [(finding.code, finding.subject) for finding in report.findings]


def test_a_sound_ledger_has_no_findings(store: Store) -> None:
    store.write_sync(_busy)
    report = store.read_sync(audit.verify)
    assert report.findings == ()
    assert report.ok
    assert (report.movements, report.head_id, report.reservations) == (10, 10, 1)
    assert re.fullmatch("[0-9a-f]{64}", report.head_hash)


def test_an_empty_ledger_is_sound(store: Store) -> None:
    report = store.read_sync(audit.verify)
    assert report.ok
    assert (report.head_id, report.head_hash) == (0, "0" * 64)


CHANGES: dict[str, object] = {
    "kind": "waste",
    "item_id": "00071015524",
    "lot": "A13",
    "source": FILL,
    "target": ROBOT,
    "milli": 7001,
    "occurred_at": NOW,
    "recorded_at": NOW.replace(year=2025),
    "actor": "tesr",
    "reason": "",
    "request_id": "other",
    "dispense_id": 1,
    "inbox_id": 1,
    "claim_id": 1,
    "reverses": 2,
    "prev_hash": "1" * 64,
    "hash": "2" * 64,
}


def test_19_any_changed_column_of_a_past_movement_is_found_and_named(store: Store) -> None:
    store.write_sync(_busy)
    columns = {column.name for column in t.movement.columns} - {"id"}
    assert set(CHANGES) == columns
    original = store.read_sync(
        lambda tx: tx.execute(select(t.movement).where(t.movement.c.id == 5)).one()._asdict()
    )
    if store.dialect == "sqlite":
        store = _without_foreign_keys(store)
    for name, value in CHANGES.items():
        _tamper(store, update(t.movement).where(t.movement.c.id == 5).values({name: value}))
        assert _findings(store)[0] in (
            ("movement_changed", "movement 5"),
            ("chain_broken", "movement 5"),
        ), name
        _tamper(store, update(t.movement).where(t.movement.c.id == 5).values(original))
        assert _findings(store) == []
    store.close()


def _without_foreign_keys(store: Store) -> Store:
    """Return a store on the same file whose writer does not check references."""
    other = Store.open(store._writer_engine.url.render_as_string())
    other.write_sync(audit.head)
    writer = other._connection
    assert writer is not None
    writer.connection.cursor().execute("PRAGMA foreign_keys=OFF")
    return other


def test_19_any_flipped_byte_of_a_movement_in_the_file_is_found_or_unreadable(
    sqlite_url: str,
) -> None:
    file = make_url(sqlite_url).database or ""
    with Store.open(sqlite_url) as store:
        store.write_sync(_busy)
        hashes = store.read_sync(lambda tx: tx.scalars(select(t.movement.c.hash)).all())
    sound = bytearray(Path(file).read_bytes())
    at = sound.find(hashes[4].encode())
    assert at > 0
    for offset in range(at - 150, at + 64, 23):
        damaged = bytearray(sound)
        damaged[offset] ^= 0x81
        Path(file).write_bytes(damaged)
        with Store.open(sqlite_url, readers=1) as store:
            report = store.read_sync(audit.verify)
        assert not report.ok, offset
        assert report.findings[0].subject.startswith(("movement ", "journal")), offset


def test_a_movement_that_cannot_be_decoded_is_named_and_the_others_are_still_read(
    sqlite_url: str,
) -> None:
    with Store.open(sqlite_url) as store:
        store.write_sync(_busy)
        _tamper(store, text("UPDATE movement SET reason = CAST(X'FF80' AS TEXT) WHERE id = 4"))
        assert _findings(store)[:3] == [
            ("movement_unreadable", "movement 4"),
            ("movement_missing", "movement 4"),
            ("balance_differs", f"balance {ITEM}/{LOT}/{SHELF}"),
        ]


@pytest.mark.parametrize(
    ("statements", "first"),
    [
        (
            [text("DELETE FROM movement WHERE id = 4")],
            ("movement_missing", "movement 4"),
        ),
        (
            [text("DELETE FROM movement WHERE id = 10")],
            ("head_differs", "movement 10"),
        ),
        (
            [update(t.balance).where(t.balance.c.location_id == SHELF2).values(on_hand=99_000)],
            ("balance_differs", f"balance {ITEM}/{LOT}/{SHELF2}"),
        ),
        (
            [delete(t.balance).where(t.balance.c.location_id == SHELF2)],
            ("balance_missing", f"balance {ITEM}/{LOT}/{SHELF2}"),
        ),
        (
            [update(t.balance).where(t.balance.c.location_id == SHELF2).values(held=4000)],
            ("held_differs", f"balance {ITEM}/{LOT}/{SHELF2}"),
        ),
        (
            [update(t.balance).where(t.balance.c.location_id == SHELF2).values(external=True)],
            ("balance_bad", f"balance {ITEM}/{LOT}/{SHELF2}"),
        ),
        ([update(t.unbooked).values(remaining=1)], ("claim_differs", "claim 1")),
        ([update(t.dispense).where(t.dispense.c.id == 2).values(state="voided")],
         ("held_for_ended", "reservation 1")),
        ([update(t.dispense).where(t.dispense.c.id == 1).values(milli=9000, counted_milli=9000)],
         ("dispense_differs", "dispense 1")),
        ([update(t.dispense).where(t.dispense.c.id == 1).values(state="counted")],
         ("dispense_differs", "dispense 1")),
    ],
)  # fmt: skip
def test_any_tampering_is_found_and_its_first_row_named(
    sqlite_url: str, statements: list[object], first: tuple[str, str]
) -> None:
    with Store.open(sqlite_url) as store:
        store.write_sync(_busy)
        _tamper(store, *statements)
        assert _findings(store)[0] == first


def test_a_hold_larger_than_the_stock_is_found(sqlite_url: str) -> None:
    with Store.open(sqlite_url) as store:
        store.write_sync(_busy)
        _tamper(
            store,
            text("PRAGMA ignore_check_constraints=ON"),
            update(t.balance).where(t.balance.c.location_id == SHELF2).values(held=90_000),
            text("PRAGMA ignore_check_constraints=OFF"),
        )
        assert _findings(store)[0] == ("held_too_much", f"balance {ITEM}/{LOT}/{SHELF2}")


def test_an_open_claim_beside_stock_is_found(sqlite_url: str) -> None:
    with Store.open(sqlite_url) as store:
        store.write_sync(_busy)
        _tamper(store, update(t.unbooked).values(location_id=SHELF))
        assert ("claim_unpaid", "claim 1") in _findings(store)


def test_accounts_that_do_not_sum_to_zero_are_found(sqlite_url: str) -> None:
    with Store.open(sqlite_url) as store:
        store.write_sync(_busy)
        _tamper(store, update(t.balance).where(t.balance.c.location_id == FILL).values(on_hand=1))
        assert _findings(store) == [
            ("balance_differs", f"balance {ITEM}/{LOT}/{FILL}"),
            ("sum_not_zero", f"lot {ITEM}/{LOT}"),
        ]


def test_a_forged_movement_that_sells_what_was_not_there_is_found(sqlite_url: str) -> None:
    with Store.open(sqlite_url) as store:
        store.write_sync(stocked)
        _forge(store, milli=200_000)
        assert _findings(store)[0] == ("below_zero", "movement 2")


def _forge(store: Store, *, milli: object) -> None:
    def run(tx: Tx) -> None:
        row = tx.execute(select(t.movement).where(t.movement.c.id == 1)).one()
        values = {
            **row._asdict(),
            "id": 2,
            "source": SHELF,
            "target": SHELF2,
            "milli": milli,
            "request_id": "forged",
            "prev_hash": row.hash,
        }
        values["hash"] = movement_hash(values)
        tx.execute(text("PRAGMA ignore_check_constraints=ON"))
        tx.execute(insert(t.movement), values)
        tx.execute(text("PRAGMA ignore_check_constraints=OFF"))
        tx.execute(update(t.chain_head).values(last_id=2, hash=values["hash"]))

    store.write_sync(run)


def test_a_forged_movement_of_nothing_is_found(sqlite_url: str) -> None:
    with Store.open(sqlite_url) as store:
        store.write_sync(stocked)
        _forge(store, milli=0)
        assert _findings(store) == [("movement_bad", "movement 2")]


def test_a_journal_that_cannot_be_read_at_all_is_a_finding(sqlite_url: str) -> None:
    file = Path(make_url(sqlite_url).database or "")
    with Store.open(sqlite_url) as store:
        store.write_sync(_busy)
        pages = select(text("rootpage")).select_from(text("sqlite_master"))
        root = store.read_sync(
            lambda tx: tx.execute(pages.where(text("name = 'movement'"))).scalar_one()
        )
        size = store.read_sync(lambda tx: tx.exec_driver_sql("PRAGMA page_size").scalar_one())
    damaged = bytearray(file.read_bytes())
    damaged[(root - 1) * size : root * size] = b"\xaa" * size
    file.write_bytes(damaged)
    with Store.open(sqlite_url, readers=1) as store:
        report = store.read_sync(audit.verify)
    assert (report.findings[0].code, report.findings[0].subject) == ("unreadable", "journal")


def test_a_server_lost_while_it_is_verified_is_no_finding(
    pg_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PAGE", 3)

    def check(tx: Tx) -> audit.VerifyReport:
        pid = tx.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()

        def lose(_: int) -> None:
            store.write_sync(
                lambda other: other.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 10000)")
            )

        return audit.verify(tx, progress=lose)

    with Store.open(pg_url) as store:
        store.write_sync(_busy)
        with pytest.raises(StoreUnavailable, match="could not be read"):
            store.read_sync(check)


def test_a_missing_balance_of_nothing_is_no_finding(sqlite_url: str) -> None:
    with Store.open(sqlite_url) as store:
        store.write_sync(lambda tx: stocked(tx, 10))
        posted(store, move(K.TRANSFER, SHELF, SHELF2, 10, "all"))
        _tamper(store, delete(t.balance).where(t.balance.c.location_id == SHELF))
        assert _findings(store) == []


def test_only_the_first_hundred_findings_are_kept_and_all_are_counted(
    sqlite_url: str,
) -> None:
    def many(tx: Tx) -> None:
        stocked(tx)
        for number in range(120):
            wanted = move(K.TRANSFER, SHELF, SHELF2, 1, f"m{number}")
            back = move(K.TRANSFER, SHELF2, SHELF, 1, f"b{number}")
            post.post(tx, wanted, STAMP, on_date=TODAY)
            post.post(tx, back, STAMP, on_date=TODAY)

    with Store.open(sqlite_url) as store:
        store.write_sync(many)
        _tamper(store, text("UPDATE movement SET actor = 'eve'"))
        report = store.read_sync(audit.verify)
        assert (len(report.findings), report.findings_total) == (100, 241)


def test_progress_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "PAGE", 3)
    store.write_sync(_busy)
    told: list[int] = []
    assert store.read_sync(lambda tx: audit.verify(tx, progress=told.append)).ok
    assert told == [3, 6, 9]


# ---------------------------------------------------------------- anchors


@pytest.fixture
def anchored(store: Store, tmp_path: Path) -> tuple[Store, Path]:
    """A ledger with anchors at movements 1 and 10."""
    file = tmp_path / "anchors.jsonl"
    audit.write_anchor(file, store.read_sync(audit.head), NOW)
    store.write_sync(stocked)
    audit.write_anchor(file, store.read_sync(audit.head), NOW)
    for number in range(9):
        posted(store, move(K.TRANSFER, SHELF, SHELF2, 1, f"m{number}"))
    audit.write_anchor(file, store.read_sync(audit.head), NOW)
    return store, file


def _anchored_findings(store: Store, file: Path) -> list[tuple[str, str]]:
    report = store.read_sync(lambda tx: audit.verify(tx, anchors=file))
    return [(finding.code, finding.subject) for finding in report.findings]


def test_anchors_of_a_sound_ledger_agree(anchored: tuple[Store, Path]) -> None:
    store, file = anchored
    report = store.read_sync(lambda tx: audit.verify(tx, anchors=file))
    assert (report.findings, report.anchors) == ((), 2)
    line = json.loads(file.read_text().splitlines()[1])
    assert line["id"] == 1
    assert line["at"] == "2026-11-22T16:00:00+00:00"
    assert os.stat(file).st_size > 0  # noqa: PTH116 - size only


def _rechain(tx: Tx) -> None:
    """Change movement 3 and hash everything after it anew, with the head: the perfect forger."""
    last = "0" * 64
    rows = tx.execute(select(t.movement).order_by(t.movement.c.id)).all()
    for row in rows:
        values = {**row._asdict(), "prev_hash": last}
        if row.id == 3:
            values["actor"] = "eve"
        last = movement_hash(values)
        where = t.movement.c.id == row.id
        tx.execute(update(t.movement).where(where).values({**values, "hash": last}))
    tx.execute(update(t.chain_head).values(hash=last))


def test_a_journal_hashed_anew_is_found_by_its_anchor_only(anchored: tuple[Store, Path]) -> None:
    store, file = anchored
    _tamper(store)
    _off(store, _rechain)
    assert _findings(store) == []
    assert _anchored_findings(store, file) == [("anchor_differs", "movement 10")]


def _off(store: Store, work: Callable[[Tx], None]) -> None:
    def run(tx: Tx) -> None:
        if store.dialect == "postgresql":
            tx.execute(text("SET LOCAL session_replication_role = replica"))
        work(tx)

    store.write_sync(run)


def _cut(tx: Tx) -> None:
    """Delete the last movement and put everything back to before it."""
    row = tx.execute(select(t.movement).where(t.movement.c.id == 10)).one()
    tx.execute(text("DELETE FROM movement WHERE id = 10"))
    tx.execute(update(t.chain_head).values(last_id=9, hash=row.prev_hash))
    for place, change in ((row.source, row.milli), (row.target, -row.milli)):
        where = t.balance.c.location_id == place
        more = t.balance.c.on_hand + change
        tx.execute(update(t.balance).where(where).values(on_hand=more))


def test_a_journal_cut_off_with_its_head_is_found_by_its_anchor_only(
    anchored: tuple[Store, Path],
) -> None:
    store, file = anchored
    _tamper(store)
    _off(store, _cut)
    assert _findings(store) == []
    assert _anchored_findings(store, file) == [("journal_cut", "movement 10")]


def test_a_missing_or_damaged_file_of_anchors_is_a_finding(
    anchored: tuple[Store, Path], tmp_path: Path
) -> None:
    store, file = anchored
    missing = tmp_path / "none"
    assert _anchored_findings(store, missing) == [("anchor_missing", str(missing))]
    with file.open("ab") as stream:
        stream.write(b'\xff\xfe{\n{"id": "x"}\n[]\n')
    assert _anchored_findings(store, file) == [
        ("anchor_unreadable", f"{file}:4"),
        ("anchor_unreadable", f"{file}:5"),
        ("anchor_unreadable", f"{file}:6"),
    ]


def test_a_finding_and_a_head_are_plain_values() -> None:
    assert Finding("c", "s", "t") == Finding("c", "s", "t")
    assert Head(1, "h") == Head(1, "h")
