"""Labels of repacked units and returned vials, and the log that boards ask for."""

import csv
import io
from dataclasses import replace
from datetime import date

import pytest

from dispensed.errors import DeviceProblem, Invalid
from dispensed.exchange.label import unit_label
from dispensed.exchange.repack_log import COLUMNS, as_csv
from dispensed.ledger import catalog
from dispensed.ledger import repack_labels as jobs
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.post import RequestReused
from dispensed.ledger.repacks import UnknownRun
from dispensed.model.catalog import Item
from dispensed.model.quantity import Unit
from dispensed.services import repack_labels, repacking, returning
from dispensed.services.repack_labels import NotPacked, PrintLabels, RepackLabelInDoubt
from dispensed.services.repacking import Packed, Step
from dispensed.services.returning import Return
from dispensed.services.site import Site
from drivers.base import Identity, Label, LabelPrinter, PrinterStatus, PrintProof, PrintReceipt
from drivers.errors import DeviceRefused, DeviceTimeout, Moved
from tests.ledger.book import ITEM, LOT, SHELF, STAMP, stocked
from tests.ledger.desk import desk
from tests.ledger.packing import ON_SQLITE, PHARMACIST, TECH, handed_out, packed, released, started
from tests.system.web_bench import NoMachines

MADE = Packed("made", bulk="96", units=3, waste="4", samples="2")
GTIN = "00300710155237"


class Paper:
    """A printer that keeps what it prints, until it fails."""

    def __init__(self) -> None:
        self.printed: list[tuple[str, Label]] = []
        self.fails: list[Exception] = []

    async def connect(self) -> Identity:
        return Identity()

    async def watch(self) -> None:
        raise AssertionError("nobody watches this printer")

    async def close(self) -> None:
        raise AssertionError("nobody closes this printer")

    async def status(self) -> PrinterStatus:
        return PrinterStatus(ready=True, faults=(), waiting=0)

    async def print(self, label: Label, *, request_id: str) -> PrintReceipt:
        if self.fails and len(self.printed) % 2:
            raise self.fails.pop()
        self.printed.append((request_id, label))
        return PrintReceipt(request_id, PrintProof.PRINTED)


class OnePrinter(NoMachines):
    """A site with a printer and nothing else."""

    def __init__(self, paper: Paper) -> None:
        super().__init__()
        self._paper = paper

    def printer(self, name: str | None = None) -> LabelPrinter:
        del name
        return self._paper


def _shop(store: Store) -> tuple[Site, Paper]:
    def furnish(tx: Tx) -> None:
        stocked(tx)
        catalog.put_item(tx, replace(catalog.get_item(tx, ITEM), gtin=GTIN), STAMP)

    store.write_sync(furnish)
    paper = Paper()
    site, _ = desk(store)
    return replace(site, machines=OnePrinter(paper)), paper


def test_a_label_without_a_gtin_has_no_code() -> None:
    item = Item("SYRUP", "Syrup", "1 %", "liquid", "Maker", Unit.ML, 100_000)
    label = unit_label(
        item, lot="PP-1", use_by=date(2027, 1, 31), milli=5_500, title="T", maker_lots=["A", "B"]
    )
    assert label.gs1 == ()
    assert label.lines == (
        "Syrup 1 %",
        "liquid  Qty 5.5 ML",
        "Lot PP-1  Use by 2027-01-31",
        "Maker lot A, B",
        "Item SYRUP",
    )


async def test_a_label_is_printed_for_each_unit_and_one_for_the_log(store: Store) -> None:
    site, paper = _shop(store)
    row = await packed(site, MADE)
    job = await repack_labels.print_units(site, row.id, PrintLabels("print"), TECH)
    assert (job.copies, job.printed, job.proof) == (4, 4, "printed")
    assert [request_id for request_id, _ in paper.printed] == [
        "repack-1-1-0",
        "repack-1-1-1",
        "repack-1-1-2",
        "repack-1-1-3",
    ]
    assert {label for _, label in paper.printed} == {
        Label(
            "dispensed",
            (
                "Atorvastatin 20 mg",
                "tablet  Qty 30 EA",
                "Lot PP261122-1  Use by 2026-12-24",
                "Viatris lot A12",
                "NDC 0071-0155-23",
            ),
            (("01", GTIN), ("17", "261224"), ("10", "PP261122-1")),
        )
    }
    assert await repack_labels.print_units(site, row.id, PrintLabels("print"), TECH) == job
    assert len(paper.printed) == 4


@ON_SQLITE
async def test_more_labels_need_a_reason_and_a_bound(store: Store) -> None:
    site, paper = _shop(store)
    row = await packed(site, MADE)
    await repack_labels.print_units(site, row.id, PrintLabels("one", copies=3), TECH)
    await repack_labels.print_units(site, row.id, PrintLabels("two"), TECH)
    assert len(paper.printed) == 4
    with pytest.raises(RepackLabelInDoubt, match="4 labels of 4 came out for sure"):
        await repack_labels.print_units(site, row.id, PrintLabels("three"), TECH)
    again = PrintLabels("four", copies=1, reason="label 2 was smeared")
    await repack_labels.print_units(site, row.id, again, TECH)
    detail = await repacking.run(site, row.id)
    assert [(job.copies, job.reason) for job in detail.labels] == [
        (3, ""),
        (1, ""),
        (1, "label 2 was smeared"),
    ]
    with pytest.raises(Invalid, match="251 labels asked, 1 to 250"):
        await repack_labels.print_units(site, row.id, PrintLabels("x", 251, "many"), TECH)
    with pytest.raises(Invalid, match="0 labels asked"):
        await repack_labels.print_units(site, row.id, PrintLabels("x", reason="none left"), TECH)


@ON_SQLITE
async def test_a_printer_that_fails_leaves_what_came_out_for_sure(store: Store) -> None:
    site, paper = _shop(store)
    row = await packed(site, MADE)
    paper.fails = [DeviceRefused("out of paper", reason="paper_out")]
    with pytest.raises(DeviceProblem, match="out of paper; 1 of 4 labels came out for sure"):
        await repack_labels.print_units(site, row.id, PrintLabels("one"), TECH)
    done = await repack_labels.print_units(site, row.id, PrintLabels("two"), TECH)
    assert (done.copies, len(paper.printed)) == (3, 4)


@ON_SQLITE
async def test_after_a_doubtful_label_more_need_a_reason(store: Store) -> None:
    site, paper = _shop(store)
    row = await packed(site, MADE)
    paper.fails = [DeviceTimeout("no answer", moved=Moved.UNKNOWN)]
    with pytest.raises(DeviceProblem, match="no answer"):
        await repack_labels.print_units(site, row.id, PrintLabels("one"), TECH)
    with pytest.raises(RepackLabelInDoubt, match="1 labels of 4 came out for sure"):
        await repack_labels.print_units(site, row.id, PrintLabels("two"), TECH)
    rest = PrintLabels("two", copies=3, reason="one came out")
    done = await repack_labels.print_units(site, row.id, rest, TECH)
    assert (done.copies, done.printed) == (3, 3)


@ON_SQLITE
async def test_a_run_that_is_not_packed_or_given_up_has_no_label(store: Store) -> None:
    site, _ = _shop(store)
    row = await started(site)
    with pytest.raises(NotPacked, match="is started"):
        await repack_labels.print_units(site, row.id, PrintLabels("p"), TECH)
    with pytest.raises(NotPacked, match="is started"):
        store.read_sync(lambda tx: repack_labels.label_of(tx, site, row))
    other = await packed(site, MADE, "two")
    await repack_labels.print_units(site, other.id, PrintLabels("q"), TECH)
    with pytest.raises(RequestReused, match="printed labels of repack run 2"):
        await repack_labels.print_units(site, row.id, PrintLabels("q"), TECH)
    await repacking.cancel(site, other.id, Step("x", "wrong"), TECH)
    with pytest.raises(NotPacked, match="is cancelled"):
        await repack_labels.print_units(site, other.id, PrintLabels("r"), TECH)
    with pytest.raises(UnknownRun):
        await repack_labels.print_units(site, 99, PrintLabels("s"), TECH)


@ON_SQLITE
async def test_a_request_that_printed_is_not_used_for_a_second_job(store: Store) -> None:
    site, _ = _shop(store)
    row = await packed(site, MADE)
    await repack_labels.print_units(site, row.id, PrintLabels("one"), TECH)
    with pytest.raises(RequestReused, match="was used before for a print job"):
        store.write_sync(lambda tx: jobs.claim(tx, row.id, 1, request_id="one", stamp=STAMP))


async def test_a_returned_vial_gets_a_label_with_its_lot_and_its_own_date(store: Store) -> None:
    site, paper = _shop(store)
    number = handed_out(store, "rx1", 30)
    back = Return("back", number, SHELF, "not picked up", use_by=date(2027, 1, 31))
    row = await returning.return_to_stock(site, back, TECH)
    await repack_labels.print_return(site, row.id, TECH)
    request_id, label = paper.printed[0]
    assert request_id == "return-1-1"
    assert label.lines[2] == f"Lot {row.to_lot}  Exp 2027-01-31"
    assert label.gs1 == (("01", GTIN), ("17", "270131"), ("10", row.to_lot))
    paper.fails = [DeviceTimeout("no answer", moved=Moved.UNKNOWN)]
    with pytest.raises(DeviceProblem, match="look whether a label came out"):
        await repack_labels.print_return(site, row.id, TECH, reason="smeared")


async def test_the_log_says_what_boards_ask_for(store: Store) -> None:
    site, _ = _shop(store)
    row = await released(site, MADE)
    await repack_labels.print_units(site, row.id, PrintLabels("print"), TECH)
    second = await started(site, "two", lot=row.child_lot, location="shelf/A-02", units=1)
    entry = await repack_labels.log_entry(site, row.id)
    assert (entry.name, entry.strength, entry.form, entry.ndc) == (
        "Atorvastatin",
        "20 mg",
        "tablet",
        "0071-0155-23",
    )
    assert (entry.manufacturer, entry.manufacturer_lots, entry.manufacturer_expiry) == (
        "Viatris",
        LOT,
        date(2027, 3, 31),
    )
    assert (entry.internal_lot, entry.use_by, entry.packed_on) == (
        "PP261122-1",
        date(2026, 12, 24),
        date(2026, 11, 22),
    )
    assert (entry.quantity_per_unit, entry.units, entry.bulk, entry.waste, entry.samples) == (
        "30",
        3,
        "96",
        "4",
        "2",
    )
    assert (entry.packed_by, entry.checked_by, entry.released_by) == (TECH, PHARMACIST, PHARMACIST)
    assert entry.container == "amber vial, USP <671> class B"
    assert entry.label_gs1 == f"(01){GTIN}(17)261224(10)PP261122-1"
    assert entry.labels_printed == 4
    assert entry.rule_source.startswith("FDA, Guidance for Industry: Expiration Dating")
    first, open_run = await repack_labels.log_entries(site)
    assert first == entry
    assert (open_run.run, open_run.manufacturer_lots, open_run.bulk_lot) == (
        second.id,
        LOT,
        "PP261122-1",
    )
    assert (open_run.packed_by, open_run.bulk, open_run.label) == ("", "", "")
    rows = list(csv.DictReader(io.StringIO(as_csv([first, open_run]))))
    assert tuple(rows[0]) == COLUMNS
    assert (rows[0]["use_by"], rows[0]["units"], rows[1]["units"]) == ("2026-12-24", "3", "")
    assert rows[0]["checked_at"] == "2026-11-22T16:00:00+00:00"
    formula = replace(entry, container="=1+1")
    assert next(csv.DictReader(io.StringIO(as_csv([formula]))))["container"] == "'=1+1"
