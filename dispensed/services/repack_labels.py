"""Labels of repacked units and of returned vials, and the log of repack runs."""

from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import ClassVar

from dispensed.errors import Conflict, DeviceProblem, Invalid
from dispensed.exchange.label import fill_label, unit_label
from dispensed.exchange.repack_log import LogEntry
from dispensed.ledger import catalog, lot_origins, repack_labels, repacks, stock_returns
from dispensed.ledger.engine import Tx
from dispensed.ledger.lot_origins import LotKey
from dispensed.ledger.repack_labels import LabelRow
from dispensed.ledger.repacks import RunRow, StepRow
from dispensed.ledger.stamp import Stamp
from dispensed.ledger.stock_returns import ReturnRow
from dispensed.model.catalog import Item
from dispensed.model.quantity import format_milli
from dispensed.model.repacking import RepackState
from dispensed.services.site import Site
from drivers.base import Label
from drivers.errors import DriverError, Moved

LABELS_MAX = 250
"""Most labels of one request; ask again for the rest of a large run."""
SAMPLES = 1
"""Labels printed beside those of the units, to be kept with the log."""
_DOUBTFUL = ("sent", "unknown")


class RepackLabelInDoubt(Conflict):
    """All labels were printed, or nobody knows how many; more of them need a reason."""

    code: ClassVar[str] = "repack_label_in_doubt"


class NotPacked(Conflict):
    """There is no label before the run is packed, and none of a cancelled one."""

    code: ClassVar[str] = "repack_not_packed"


@dataclass(frozen=True, slots=True)
class PrintLabels:
    """Labels to print; without `copies` what is missing of units + 1 for the log.

    `reason` is needed when that was printed before, or when the last job is in doubt.
    """

    request_id: str
    copies: int | None = None
    reason: str = ""


# ---------------------------------------------------------------- print


async def print_units(site: Site, run_id: int, asked: PrintLabels, actor: str) -> LabelRow:
    """Print labels of a run; a repeat of the same request prints nothing and returns its job.

    A printer that fails leaves the job with the number that came out for sure. Raises NotPacked,
    RepackLabelInDoubt, DeviceProblem.
    """
    stamp = site.stamp(actor, asked.reason)
    known = await site.store.read(lambda tx: repack_labels.find(tx, run_id, asked.request_id))
    if known is not None:
        return known
    printer = site.machines.printer()

    def claim(tx: Tx) -> tuple[LabelRow, Label]:
        row = repacks.get(tx, run_id)
        copies = _copies(tx, row, asked)
        job = repack_labels.claim(tx, run_id, copies, request_id=asked.request_id, stamp=stamp)
        return job, label_of(tx, site, row)

    job, label = await site.store.write(claim)
    proof = "accepted"
    for number in range(job.copies):
        try:
            receipt = await printer.print(label, request_id=f"repack-{run_id}-{job.id}-{number}")
        except DriverError as error:
            sure = error.moved is Moved.NO
            await _note(site, run_id, job, number, "failed" if sure else "unknown", stamp)
            raise DeviceProblem(
                f"label printer: {error}; {number} of {job.copies} labels came out for sure"
            ) from error
        proof = receipt.proof.value
    return await _note(site, run_id, job, job.copies, proof, stamp)


async def _note(
    site: Site, run_id: int, job: LabelRow, printed: int, proof: str, stamp: Stamp
) -> LabelRow:
    write = partial(
        repack_labels.note,
        run_id=run_id,
        label_id=job.id,
        printed=printed,
        proof=proof,
        stamp=stamp,
    )
    return await site.store.write(write)


def _copies(tx: Tx, row: RunRow, asked: PrintLabels) -> int:
    """Return how many labels to print; raises NotPacked, Invalid or RepackLabelInDoubt."""
    if row.units is None or row.state is RepackState.CANCELLED:
        raise NotPacked(f"repack run {row.id} is {row.state}, its units have no label")
    jobs = repack_labels.page(tx, row.id)
    missing = row.units + SAMPLES - sum(job.printed for job in jobs)
    copies = min(max(missing, 0), LABELS_MAX) if asked.copies is None else asked.copies
    doubt = bool(jobs) and jobs[-1].proof in _DOUBTFUL
    if not asked.reason.strip() and (doubt or copies > missing or missing <= 0):
        raise RepackLabelInDoubt(
            f"repack run {row.id}: {sum(job.printed for job in jobs)} labels of"
            f" {row.units + SAMPLES} came out for sure; print more with a reason"
        )
    if not 0 < copies <= LABELS_MAX:
        raise Invalid(f"{copies} labels asked, 1 to {LABELS_MAX} are possible at once")
    return copies


def label_of(tx: Tx, site: Site, row: RunRow) -> Label:
    """Return the label of one unit of a packed run; raises NotPacked."""
    if row.use_by is None:
        raise NotPacked(f"repack run {row.id} is {row.state}, its units have no label")
    return unit_label(
        catalog.get_item(tx, row.child_item_id),
        lot=row.child_lot,
        use_by=row.use_by,
        milli=row.unit_milli,
        title=site.options.label_title,
        maker_lots=[key.lot for key in _roots(tx, row)],
    )


def _roots(tx: Tx, row: RunRow) -> tuple[LotKey, ...]:
    """Return the manufacturer's lots from which a run's bulk came: those without an origin."""
    bulk = LotKey(row.item_id, row.lot)
    lots = (bulk, *lot_origins.ancestors(tx, *bulk))
    return tuple(key for key in lots if not lot_origins.origins_of(tx, *key))


async def print_return(site: Site, return_id: int, actor: str, *, reason: str = "") -> ReturnRow:
    """Print the label of a returned vial with its lot and its date; raises DeviceProblem."""

    def query(tx: Tx) -> tuple[ReturnRow, Item, date | None]:
        row = stock_returns.get(tx, return_id)
        lot = catalog.get_lot(tx, row.item_id, row.to_lot)
        return row, catalog.get_item(tx, row.item_id), lot.expiry

    row, item, expiry = await site.store.read(query)
    label = fill_label(
        item,
        lot=row.to_lot,
        expiry=expiry,
        milli=row.milli,
        title=site.options.label_title,
        order_ref=f"return {row.id}",
    )
    printer = site.machines.printer()
    stamp = site.stamp(actor, reason)
    number = await site.store.write(partial(stock_returns.count_label, row=row, stamp=stamp))
    try:
        await printer.print(label, request_id=f"return-{row.id}-{number}")
    except DriverError as error:
        raise DeviceProblem(f"label printer: {error}; look whether a label came out") from error
    return row


# ---------------------------------------------------------------- log


async def log_entries(site: Site, *, after: int = 0, limit: int = 100) -> tuple[LogEntry, ...]:
    """Return the log of runs by ascending number, after a number, at most `limit`."""

    def query(tx: Tx) -> tuple[LogEntry, ...]:
        return tuple(_entry(tx, site, row) for row in repacks.page(tx, after=after, limit=limit))

    return await site.store.read(query)


async def log_entry(site: Site, run_id: int) -> LogEntry:
    """Return the log of one run; raises UnknownRun."""
    return await site.store.read(lambda tx: _entry(tx, site, repacks.get(tx, run_id)))


def _entry(tx: Tx, site: Site, row: RunRow) -> LogEntry:
    item, child = catalog.get_item(tx, row.item_id), catalog.get_item(tx, row.child_item_id)
    roots = _roots(tx, row)
    expiries = [catalog.get_lot(tx, *key).expiry for key in roots]
    steps = {step.step: step for step in repacks.steps(tx, row.id)}
    label = None if row.use_by is None else label_of(tx, site, row)
    checked = steps.get(RepackState.CHECKED)
    return LogEntry(
        run=row.id,
        state=row.state.value,
        name=item.name,
        strength=item.strength,
        form=item.form,
        item_id=item.item_id,
        ndc=item.ndc or "",
        manufacturer=item.labeler,
        manufacturer_lots=", ".join(key.lot for key in roots),
        manufacturer_expiry=min((each for each in expiries if each is not None), default=None),
        bulk_lot=row.lot,
        packed_item_id=child.item_id,
        packed_ndc=child.ndc or "",
        internal_lot=row.child_lot,
        use_by=row.use_by,
        rule=row.rule,
        rule_source=row.rule_source,
        unit=row.unit,
        quantity_per_unit=format_milli(row.unit_milli),
        units=row.units,
        bulk=_amount(row.bulk_milli),
        waste=_amount(row.waste_milli),
        samples=_amount(row.sample_milli),
        container=row.container,
        packed_on=row.packed_on,
        packed_by=_by(steps.get(RepackState.PACKED)),
        checked_by=_by(checked),
        checked_at=None if checked is None else checked.at,
        released_by=_by(steps.get(RepackState.RELEASED)),
        labels_printed=sum(job.printed for job in repack_labels.page(tx, row.id)),
        label="" if label is None else "\n".join((label.title, *label.lines)),
        label_gs1="" if label is None else "".join(f"({ai}){value}" for ai, value in label.gs1),
    )


def _by(step: StepRow | None) -> str:
    return "" if step is None else step.actor


def _amount(milli: int | None) -> str:
    return "" if milli is None else format_milli(milli)
