"""Damage of the stored journal: each changed byte is named, and so is a tail that was cut off."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from dispensed.cli.main import cli
from dispensed.ledger import audit
from dispensed.ledger.audit import Finding, Head
from dispensed.ledger.engine import Store
from dispensed.model.catalog import LotState
from tests.benchmarks.tamper import Victim, missed
from tests.ledger.book import (
    ITEM,
    LATE_LOT,
    LOT,
    NOW,
    SHELF,
    SHELF2,
    K,
    blocking,
    move,
    posted,
    stocked,
)

FLIPS = 1000
"""`python -m tests.benchmarks tamper --flips 10000` does more."""


def test_19_a_thousand_flipped_bytes_of_past_movements_are_all_named(sqlite_url: str) -> None:
    victim = Victim(Path(sqlite_url.removeprefix("sqlite:///")), 520)
    assert victim.named() == set()
    batches = list(missed(victim, FLIPS))
    assert [unnamed for _, unnamed in batches if unnamed] == []
    assert batches[-1][0] >= FLIPS


@pytest.mark.parametrize("change", ["occurred_at = 4611686018427387904", "source = X'4142'"])
def test_a_value_that_no_movement_can_have_is_named_with_its_row(
    sqlite_url: str, change: str
) -> None:
    with Store.open(sqlite_url) as store:
        store.write_sync(stocked)
        posted(store, move(K.TRANSFER, SHELF, SHELF2, 1, "m1"))
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as plain, plain:
        plain.execute("DROP TRIGGER movement_no_update")
        plain.execute(f"UPDATE movement SET {change} WHERE id = 2")  # noqa: S608 - of this test
    with Store.open(sqlite_url) as store:
        report = store.read_sync(audit.verify)
    assert report.findings[0].subject == "movement 2"


def test_all_findings_are_told_beyond_those_that_are_kept(sqlite_url: str) -> None:
    with Store.open(sqlite_url) as store:
        store.write_sync(stocked)
        for number in range(130):
            ends = (SHELF, SHELF2) if number % 2 else (SHELF2, SHELF)
            if number:
                posted(store, move(K.TRANSFER, *ends, 1, f"m{number}"))
        store.write_sync(lambda tx: tx.execute(text("DROP TRIGGER movement_no_update")))
        store.write_sync(lambda tx: tx.execute(text("DROP TRIGGER movement_no_delete")))
        store.write_sync(lambda tx: tx.execute(text("UPDATE movement SET actor = 'eve'")))
        told: list[Finding] = []
        report = store.read_sync(lambda tx: audit.verify(tx, tell=told.append))
        assert (len(report.findings), report.findings_total, len(told)) == (100, 130, 130)
        assert [each.subject for each in told] == [f"movement {n}" for n in range(1, 131)]
        store.write_sync(
            lambda tx: tx.execute(text("DELETE FROM movement WHERE id BETWEEN 7 AND 9"))
        )
        report = store.read_sync(audit.verify)
        assert report.findings[6] == Finding(
            "movement_missing", "movements 7 to 9", "movement 10 follows 6"
        )


# ---------------------------------------------------------------- audit trail


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE audit_event SET actor = 'eve' WHERE id = 5", ["audit events 1 to 12"]),
        ("UPDATE audit_event SET at = at + 1 WHERE id = 13", ["audit events 13 to 14"]),
        ("DELETE FROM audit_event WHERE id = 3", ["audit events 1 to 12"]),
        ("DELETE FROM audit_event WHERE id = 12", ["audit events 1 to 12"]),
        ("DELETE FROM audit_event WHERE id > 13", ["audit events 13 to 14"]),
        ("DELETE FROM audit_event", ["audit events 1 to 12", "audit events 13 to 14"]),
        (
            "UPDATE audit_event SET id = -id WHERE id = 14",
            ["audit events 1 to 12", "audit events 13 to 14"],
        ),
        ("UPDATE audit_event SET at = 4611686018427387904 WHERE id = 5", ["audit events"]),
    ],
)
def test_19_a_changed_audit_trail_is_found_between_its_anchors(
    sqlite_url: str, tmp_path: Path, damage: str, found: list[str]
) -> None:
    file = tmp_path / "anchors.jsonl"

    def anchor() -> None:
        report = store.read_sync(lambda tx: audit.verify(tx, anchors=file))
        audit.write_anchor(file, Head(report.head_id, report.head_hash), NOW, report.events)

    with Store.open(sqlite_url) as store:
        store.write_sync(stocked)
        anchor()
        for state in (LotState.HOLD, LotState.RELEASED):
            store.write_sync(blocking(LOT, state))
        anchor()
        store.write_sync(blocking(LATE_LOT, LotState.HOLD))
        report = store.read_sync(lambda tx: audit.verify(tx, anchors=file))
        assert (report.findings, report.events.id) == ((), 15)
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as plain, plain:
        for verb in ("update", "delete"):
            plain.execute(f"DROP TRIGGER audit_event_no_{verb}")
        plain.execute(damage)
    with Store.open(sqlite_url) as store:
        report = store.read_sync(lambda tx: audit.verify(tx, anchors=file))
    assert [finding.subject for finding in report.findings] == found


# ---------------------------------------------------------------- the whole way


def _verify(folder: Path, *more: str) -> Result:
    return CliRunner().invoke(cli, ["--config", str(folder / "c.toml"), "verify", *more])


def test_a_tail_that_was_cut_off_consistently_is_named_by_the_next_verify(
    sqlite_url: str, tmp_path: Path
) -> None:
    (tmp_path / "c.toml").write_text(
        f'state_dir = "{tmp_path}/state"\n[database]\nurl = "{sqlite_url}"\n'
    )
    with Store.open(sqlite_url) as store:
        store.write_sync(stocked)
        posted(store, move(K.TRANSFER, SHELF, SHELF2, 40, "kept"))
        posted(store, move(K.TRANSFER, SHELF2, SHELF, 9, "cut"))
    assert _verify(tmp_path).exit_code == 0
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(file)) as plain, plain:
        plain.execute("DROP TRIGGER movement_no_delete")
        plain.execute("UPDATE chain_head SET last_id = 2, hash = (SELECT prev_hash FROM movement"
                      " WHERE id = 3)")  # fmt: skip
        plain.execute("DELETE FROM movement WHERE id = 3")
        for place, change in ((SHELF, -9000), (SHELF2, 9000)):
            plain.execute(
                "UPDATE balance SET on_hand = on_hand + ? WHERE item_id = ? AND lot = ?"
                " AND location_id = ?",
                (change, ITEM, LOT, place),
            )
    with Store.open(sqlite_url) as store:
        assert store.read_sync(audit.verify).ok  # nothing inside the database shows it
    result = _verify(tmp_path, "--findings", str(tmp_path / "all.jsonl"), "--json")
    assert result.exit_code == 1
    assert "movement 3: an anchor names movement 3, the journal ends at 2" in result.stderr
    assert json.loads((tmp_path / "all.jsonl").read_text()) == {
        "code": "journal_cut",
        "subject": "movement 3",
        "text": "an anchor names movement 3, the journal ends at 2",
    }
    anchors = (tmp_path / "state" / "anchors.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in anchors] == [3]
