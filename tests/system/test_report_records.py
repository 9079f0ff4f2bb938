"""Reports on records that are kept of their own: inventories, removals, discrepancies, recalls."""

from datetime import timedelta

import pytest

from dispensed.errors import Invalid
from dispensed.ledger import discrepancies, inventories, removals
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.inventories import NewInventory, NewLine
from dispensed.ledger.post import Stamp
from dispensed.ledger.removals import NewRemoval, Part
from dispensed.model.controlled import InventoryKind, Moment
from dispensed.services import recall_cases, reports
from dispensed.services.recall_cases import Answer, CaseAsked, LineAsked
from dispensed.services.reports import Wanted
from dispensed.services.site import Site
from tests.ledger.book import CONTROLLED, FILL, ITEM, LATE_LOT, LOT, NOW, ROBOT, SHELF, TODAY
from tests.ledger.desk import desk
from tests.system.report_bench import DAY, HOUR, cells, fill, of, sql, totals


@pytest.fixture
def site(store: Store) -> Site:
    store.write_sync(fill)
    return desk(store)[0]


def test_an_inventory_is_shown_as_counted_with_its_signatures(site: Site) -> None:
    def take(tx: Tx) -> None:
        new = NewInventory(InventoryKind.BIENNIAL, TODAY, Moment.OPENING, NOW - 8 * HOUR, 2)
        number = inventories.begin(tx, new, Stamp("tess", NOW)).id
        for place, milli in ((SHELF, 30_000), (ROBOT, 47_000)):
            line = NewLine(CONTROLLED, LOT, place, milli)
            inventories.count(tx, number, line, Stamp("tess", NOW))
        inventories.sign(tx, number, Stamp("tess", NOW))

    site.store.write_sync(take)
    report = of(site, "inventory", number=1)
    counted = sql(site, "SELECT sum(milli) FROM inventory_line WHERE inventory_id = 1")
    assert totals(report) == {"counted": counted} == {"counted": 77_000}
    assert cells(report, "lot", "location_id", "counted", "counted_by") == [
        (LOT, ROBOT, 47_000, "tess"),
        (LOT, SHELF, 30_000, "tess"),
    ]
    assert report.notes == (
        "biennial inventory 1 as of opening of business on 2026-11-22",
        "signed by tess at 2026-11-22 11:00 -0500",
        "1 signatures are missing",
    )
    site.store.write_sync(lambda tx: inventories.sign(tx, 1, Stamp("pat", NOW)))
    assert len(of(site, "inventory", number=1).notes) == 3
    assert "missing" not in " ".join(of(site, "inventory", number=1).notes)
    with pytest.raises(Invalid, match="needs number"):
        of(site, "inventory")


def test_open_removals_are_those_with_something_left(site: Site) -> None:
    def remove(tx: Tx) -> None:
        for number, units in enumerate((3, 2), start=1):
            at = Stamp("nora", NOW - number * HOUR)
            new = NewRemoval(
                f"r{number}", CONTROLLED, LOT, ROBOT, units * 1000, "p-9", f"o{number}"
            )
            made = removals.take(tx, new, at, on_date=TODAY)
            part = Part(made.id, 2000, f"g{number}")
            removals.give(tx, part, at, on_date=TODAY)

    site.store.write_sync(remove)
    report = of(site, "open-removals")
    left = sql(
        site,
        "SELECT r.milli - (SELECT sum(m.milli) FROM removal_step s JOIN movement m"
        " ON m.id = s.movement_id WHERE s.removal_id = r.id) FROM removal r WHERE r.id = 1",
    )
    assert totals(report) == {"open": left, "removals": 1}
    assert cells(report, "person", "hours", "removed", "given", "open", "patient_key") == [
        ("nora", 1_000, 3_000, 2_000, 1_000, "p-9")
    ]
    assert of(site, "open-removals", item=ITEM).rows == ()


def test_open_discrepancies_are_counted_by_age(site: Site) -> None:
    def differ(tx: Tx) -> None:
        for item, place, age in (
            (ITEM, SHELF, timedelta(hours=2)),
            (ITEM, FILL, 2 * DAY),
            (CONTROLLED, ROBOT, 40 * DAY),
        ):
            discrepancies.add(
                tx,
                kind="snapshot",
                item_id=item,
                lot=LOT,
                location_id=place,
                change=-2_000,
                detail="found less",
                stamp=Stamp("robot1", NOW - age),
            )

    site.store.write_sync(differ)
    report = of(site, "discrepancy-ageing")
    found = sql(site, "SELECT count(*) FROM discrepancy WHERE state = 'open'")
    late = sql(
        site,
        "SELECT count(*) FROM discrepancy_case WHERE state = 'open' AND due_at < :end",
        end=int(NOW.timestamp()) * 10**6 if site.store.dialect == "sqlite" else NOW,
    )
    assert totals(report) == {
        "up to 1 day": 1,
        "up to 3 days": 1,
        "up to 7 days": 0,
        "up to 30 days": 0,
        "more than 30 days": 1,
        "overdue": late,
    }
    assert sum(value for label, value in totals(report).items() if label != "overdue") == found
    assert cells(report, "location_id", "days_open", "age", "size") == [
        (SHELF, 0, "up to 1 day", -2_000),
        (FILL, 2, "up to 3 days", -2_000),
        (ROBOT, 40, "more than 30 days", -2_000),
    ]
    assert len(of(site, "discrepancy-ageing", item=ITEM, location=SHELF).rows) == 1


async def test_a_recall_case_adds_up_to_the_journal(store: Store) -> None:
    store.write_sync(fill)
    site = desk(store)[0]
    asked = CaseAsked("D-77", "II", "glass", (LineAsked(LOT, ITEM), LineAsked(LATE_LOT, ITEM)))
    case = await recall_cases.open_case(site, asked, "pat")
    found = Answer(ITEM, LOT, SHELF, "25", "a1", note="all of it")
    await recall_cases.answer(site, case.id, found, "tess")
    report = await reports.make(site, "recall-case", Wanted(number=case.id))
    by_hand = {
        "received": "SELECT sum(milli) FROM movement WHERE item_id = :item AND source ="
        " 'ext:opening'",
        "dispensed": "SELECT sum(CASE WHEN target = 'ext:dispensed' THEN milli ELSE -milli END)"
        " FROM movement WHERE item_id = :item AND 'ext:dispensed' IN (source, target)",
        "wasted": "SELECT sum(milli) FROM movement WHERE item_id = :item AND target = 'ext:waste'",
        "moved": "SELECT sum(milli) FROM movement WHERE item_id = :item AND target = 'outdate'",
        "elsewhere": "SELECT sum(on_hand) FROM balance WHERE item_id = :item AND NOT external"
        " AND location_id <> 'outdate'",
    }
    told = totals(report)
    for label, query in by_hand.items():
        assert told[label] == sql(site, query, item=ITEM), label
    assert (told["found"], told["quarantined"], told["places that answered"]) == (25_000, 25_000, 1)
    assert told["places asked"] == len(report.rows) == 3
    assert report.notes[0].startswith("D-77, class II, open: ")
