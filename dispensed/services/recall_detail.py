"""One recall case with all that belongs to it, and what stands against closing it."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from dispensed.errors import Invalid
from dispensed.ledger import catalog, recall_cases, recall_notices, recall_parts, recall_places
from dispensed.ledger.engine import Tx
from dispensed.ledger.recall_blocks import LotKey
from dispensed.ledger.recall_cases import CaseRow, LineRow
from dispensed.ledger.recall_notices import NoticeRow
from dispensed.ledger.recall_parts import UnresolvedRow
from dispensed.ledger.recall_places import (
    IN_TRANSIT,
    QUARANTINE,
    IssueRow,
    PlaceRow,
    SignatureRow,
    TaskRow,
)
from dispensed.model.quantity import format_milli
from dispensed.model.recall import LotSums
from dispensed.services.site import Site

PARTS_MAX = 10_000
"""Most parts of notices that one case may have."""


@dataclass(frozen=True, slots=True)
class CaseDetail:
    """One case with all that belongs to it; `blockers` say what stands against closing it."""

    row: CaseRow
    lines: tuple[LineRow, ...]
    parts: tuple[UnresolvedRow, ...]
    tasks: tuple[TaskRow, ...]
    stock: tuple[PlaceRow, ...]
    issues: tuple[IssueRow, ...]
    sums: Mapping[LotKey, LotSums]
    signatures: tuple[SignatureRow, ...]
    notices: tuple[NoticeRow, ...]
    blockers: tuple[str, ...]
    units: Mapping[str, str]
    at: datetime

    @property
    def overdue(self) -> bool:
        """Whether a case that is open has passed its time."""
        return self.row.state == "open" and self.at > self.row.due_at


async def cases(
    site: Site, *, state: str | None = "open", after: int = 0, limit: int = 100
) -> tuple[CaseRow, ...]:
    """Return cases of a state (open, review, not_stocked, closed) or all, by ascending id."""
    if state not in (None, *recall_cases.WAITING, "closed"):
        raise Invalid(f"recall state {state!r} is not one of open, review, not_stocked, closed")
    return await site.store.read(
        lambda tx: recall_cases.page(tx, state=state, after=after, limit=limit)
    )


async def case(site: Site, case_id: int) -> CaseDetail:
    """Return one case with all that belongs to it; raises CaseNotFound."""
    at = site.now()
    return await site.store.read(lambda tx: detail(tx, case_id, at))


def detail(tx: Tx, case_id: int, at: datetime) -> CaseDetail:
    """Collect one case in one transaction."""
    row = recall_cases.get(tx, case_id)
    keys = recall_cases.covered(tx, case_id)
    items = {key.item_id for key in keys}
    return CaseDetail(
        row=row,
        lines=recall_cases.lines(tx, case_id),
        parts=recall_parts.page(tx, case_id=case_id, limit=PARTS_MAX),
        tasks=recall_places.tasks(tx, case_id),
        stock=recall_places.stock_of(tx, keys),
        issues=recall_places.issues(tx, keys),
        sums=recall_places.sums(tx, keys),
        signatures=recall_places.signatures(tx, case_id),
        notices=recall_notices.of_case(tx, case_id),
        blockers=() if row.state == "closed" else blockers(tx, row),
        units={item_id: catalog.get_item(tx, item_id).unit.value for item_id in sorted(items)},
        at=at,
    )


async def unresolved(
    site: Site, *, likely: bool = False, after: int = 0, limit: int = 100
) -> tuple[UnresolvedRow, ...]:
    """Return the parts of notices that wait for a person, by ascending id.

    With `likely` only those that lots here may be meant by.
    """
    return await site.store.read(
        lambda tx: recall_parts.page(tx, likely=likely, after=after, limit=limit)
    )


async def unreadable(site: Site) -> tuple[NoticeRow, ...]:
    """Return the notices that were kept and could not be read, oldest first."""
    return await site.store.read(recall_notices.unreadable)


def blockers(tx: Tx, row: CaseRow) -> tuple[str, ...]:
    """Say what stands against closing a case, each with its numbers; empty when it is ready."""
    keys = recall_cases.covered(tx, row.id)
    told = [
        f"part {part.id} of the notice is not decided: {part.text[:60]!r}"
        for part in recall_parts.page(tx, case_id=row.id, limit=PARTS_MAX)
        if part.state == "open"
    ]
    told += (
        f"{task.location_id} has not answered for lot {task.lot} of item {task.item_id}"
        for task in recall_places.tasks(tx, row.id, state="open")
    )
    told += recall_places.unfinished(tx, keys)
    for key, numbers in recall_places.open_differences(tx, keys).items():
        told += (f"discrepancy {each} of lot {key.lot} is open" for each in numbers)
    places: dict[LotKey, list[str]] = defaultdict(list)
    for place in recall_places.stock_of(tx, keys):
        if place.kind not in QUARANTINE and place.location_id != IN_TRANSIT:
            places[place.key].append(f"{place.location_id} {format_milli(place.on_hand)}")
    for key, total in recall_places.sums(tx, keys).items():
        if not total.adds_up:
            told.append(_unequal(key, total, places[key]))
    return tuple(told)


def _unequal(key: LotKey, total: LotSums, places: list[str]) -> str:
    named = {
        "pulled": total.quarantined,
        "dispensed": total.dispensed,
        "wasted": total.wasted,
        "lost": total.lost,
        "returned": total.returned,
        "destroyed": total.destroyed,
        "repacked": total.repacked,
        "sampled": total.sampled,
        "in transit": total.in_transit,
    }
    shown = " + ".join(f"{format_milli(milli)} {name}" for name, milli in named.items() if milli)
    rest = f"; still at {', '.join(places)}" if places else ""
    return (
        f"lot {key.lot} of item {key.item_id} does not add up: {format_milli(total.received)}"
        f" received, {shown or '0'} = {format_milli(total.accounted)} accounted for{rest}"
    )
