"""What the page shows, gathered from the services and worded for people; templates lay it out."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from dispensed.devices.supervisor import Link, LinkState
from dispensed.ledger import catalog, counts, dispenses
from dispensed.ledger import jobs as job_rows
from dispensed.ledger.cases import CaseRow
from dispensed.ledger.dispenses import DispenseRow
from dispensed.ledger.read import LotRow, StockRow
from dispensed.ledger.recalls import RecallRow
from dispensed.ledger.reorder import ProposalRow
from dispensed.model.catalog import LotState
from dispensed.model.dispensing import DispenseState
from dispensed.model.planning import usable_on
from dispensed.model.quantity import format_milli
from dispensed.services import discrepancies, recalls, reordering, stock
from dispensed.web.context import Web

EXPIRING_DAYS = 90
SOON_DAYS = 30
ITEMS_MAX = 200
ROWS_MAX = 50
DISPENSES_MAX = 25
EXTERNAL_PREFIX = "ext:"


class Tone(StrEnum):
    """How urgent something is; always shown by a sign and a word too, never by colour alone."""

    OK = "ok"
    INFO = "info"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Badge:
    """A state as a word with its tone."""

    tone: Tone
    text: str


@dataclass(frozen=True, slots=True)
class When:
    """An instant for a `<time>` element: machine form, short local form, full local form."""

    iso: str
    short: str
    full: str


@dataclass(frozen=True, slots=True)
class Tile:
    """One number at the top, with where it is explained."""

    anchor: str
    label: str
    value: str
    note: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One device."""

    name: str
    what: str
    badge: Badge
    reason: str
    since: When


@dataclass(frozen=True, slots=True)
class LotView:
    """Stock of one lot at one place."""

    lot: str
    expiry: str
    badge: Badge
    location: str
    numbers: tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class ItemView:
    """Stock of one item: on hand, held, blocked, available; lots only when it is unfolded."""

    item_id: str
    name: str
    unit: str
    numbers: tuple[str, str, str, str]
    flag: Badge | None
    lots: tuple[LotView, ...]
    open: bool
    link: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a simple table: cells, and the badge that stands first."""

    badge: Badge
    cells: tuple[str | When, ...]


_DEVICE_BADGES = {
    Link.UP: Badge(Tone.OK, "up"),
    Link.DEGRADED: Badge(Tone.WARN, "degraded"),
    Link.CONNECTING: Badge(Tone.INFO, "connecting"),
    Link.DOWN: Badge(Tone.BAD, "down"),
    Link.STOPPED: Badge(Tone.INFO, "off"),
}
_DISPENSE_TONES = {
    DispenseState.REQUESTED: Tone.INFO,
    DispenseState.RESERVED: Tone.INFO,
    DispenseState.COMMANDED: Tone.INFO,
    DispenseState.COUNTED: Tone.WARN,
    DispenseState.VERIFIED: Tone.INFO,
    DispenseState.SETTLED: Tone.OK,
    DispenseState.VOIDED: Tone.INFO,
    DispenseState.IN_DOUBT: Tone.BAD,
}
_DISPENSE_WORDS = {
    DispenseState.COMMANDED: "at the machine",
    DispenseState.COUNTED: "to verify",
    DispenseState.IN_DOUBT: "in doubt",
}
_LOT_TONES = {
    LotState.RELEASED: Tone.OK,
    LotState.QUARANTINE: Tone.WARN,
    LotState.HOLD: Tone.WARN,
    LotState.DAMAGED: Tone.BAD,
    LotState.RECALLED: Tone.BAD,
}


def when(at: datetime, zone: ZoneInfo, today: date) -> When:
    """Word an instant in the site's time: the time alone for today, else with the date."""
    local = at.astimezone(zone)
    short = f"{local:%H:%M:%S}" if local.date() == today else f"{local:%d %b %H:%M}"
    return When(at.strftime("%Y-%m-%dT%H:%M:%SZ"), short, f"{local:%a %d %b %Y, %H:%M:%S %Z}")


# ---------------------------------------------------------------- devices


def device_views(web: Web) -> tuple[DeviceView, ...]:
    """Return the devices, those that do not work first."""
    today = web.site.today()
    views = [_device(link, web.site.zone, today) for link in web.links()]
    order = (Tone.BAD, Tone.WARN, Tone.INFO, Tone.OK)
    return tuple(sorted(views, key=lambda view: order.index(view.badge.tone)))


def _device(link: LinkState, zone: ZoneInfo, today: date) -> DeviceView:
    known = link.identity
    model = " ".join(part for part in (known.maker, known.model) if part) if known else ""
    what = f"{link.capability} · {model or link.protocol}"
    since = when(link.since, zone, today)
    return DeviceView(link.device, what, _DEVICE_BADGES[link.state], link.reason, since)


# ---------------------------------------------------------------- stock


async def stock_views(web: Web, query: str, opened: frozenset[str]) -> tuple[ItemView, ...]:
    """Return stock by item, of items whose name, id, lot or place contains `query`."""
    rows = await stock.stock(web.site)
    by_item: dict[str, list[StockRow]] = {}
    for row in rows:
        if not row.location_id.startswith(EXTERNAL_PREFIX):
            by_item.setdefault(row.item_id, []).append(row)
    wanted = query.strip().casefold()
    today = web.site.today()
    views = [
        _item(found, query, opened, today)
        for found in by_item.values()
        if any(wanted in _searched(row) for row in found)
    ]
    return tuple(sorted(views, key=lambda view: view.name.casefold())[:ITEMS_MAX])


def _searched(row: StockRow) -> str:
    return f"{row.name} {row.item_id} {row.lot} {row.location_id}".casefold()


def _item(rows: list[StockRow], query: str, opened: frozenset[str], today: date) -> ItemView:
    first = rows[0]
    is_open = first.item_id in opened
    available = sum(row.available for row in rows)
    numbers = (
        format_milli(sum(row.on_hand for row in rows)),
        format_milli(sum(row.held for row in rows)),
        format_milli(sum(row.blocked for row in rows)),
        format_milli(available),
    )
    flag = None
    if available == 0:
        flag = Badge(Tone.BAD, "none available")
    elif any(row.blocked for row in rows):
        flag = Badge(Tone.WARN, "partly blocked")
    others = sorted(opened - {first.item_id} if is_open else opened | {first.item_id})
    return ItemView(
        item_id=first.item_id,
        name=f"{first.name} {first.strength}".strip(),
        unit=first.unit,
        numbers=numbers,
        flag=flag,
        lots=tuple(_lot(row, today) for row in rows) if is_open else (),
        open=is_open,
        link=page_link(query, others),
    )


def page_link(query: str, opened: Iterable[str]) -> str:
    """Return the address of the page with a search and unfolded items."""
    pairs = [("q", query)] if query else []
    pairs += [("open", item_id) for item_id in opened]
    return "/?" + urlencode(pairs)


def _lot(row: StockRow, today: date) -> LotView:
    return LotView(
        lot=row.lot,
        expiry=_expiry(row.expiry),
        badge=lot_badge(LotState(row.lot_state), row.expiry, today),
        location=row.location_id,
        numbers=(
            format_milli(row.on_hand),
            format_milli(row.held),
            format_milli(row.blocked),
            format_milli(row.available),
        ),
    )


def lot_badge(state: LotState, expiry: date | None, today: date) -> Badge:
    """Word the state of a lot; expired and unknown expiry block as much as a hold does."""
    if state is not LotState.RELEASED:
        return Badge(_LOT_TONES[state], state)
    if expiry is None:
        return Badge(Tone.WARN, "expiry unknown")
    if not usable_on(expiry, today):
        return Badge(Tone.BAD, "expired")
    return Badge(Tone.OK, "released")


def _expiry(expiry: date | None) -> str:
    return "unknown" if expiry is None else f"{expiry:%d %b %Y}"


# ---------------------------------------------------------------- what waits for a person


async def discrepancy_rows(web: Web) -> tuple[Row, ...]:
    """Return the open discrepancies, controlled items first."""
    rows = await discrepancies.discrepancies(web.site)
    today = web.site.today()
    ordered = sorted(rows, key=lambda row: (row.schedule == "none", row.id))
    return tuple(_discrepancy(row, web.site.zone, today) for row in ordered[:ROWS_MAX])


def _discrepancy(row: CaseRow, zone: ZoneInfo, today: date) -> Row:
    controlled = row.schedule != "none"
    badge = Badge(Tone.BAD, row.schedule) if controlled else Badge(Tone.WARN, "open")
    sign = "+" if row.size > 0 else "\N{MINUS SIGN}"
    return Row(
        badge,
        (
            row.name,
            row.lot,
            row.location_id,
            f"{sign}{format_milli(abs(row.size))} {row.unit}",
            row.detail,
            when(row.opened_at, zone, today),
        ),
    )


async def expiring_rows(web: Web) -> tuple[Row, ...]:
    """Return lots in stock that are expired or soon will be, earliest first."""
    rows = await stock.lots(web.site, expiring_days=EXPIRING_DAYS)
    today = web.site.today()
    return tuple(_expiring(row, today) for row in rows[:ROWS_MAX] if row.on_hand)


def _expiring(row: LotRow, today: date) -> Row:
    days = None if row.expiry is None else (row.expiry - today).days
    if days is None:
        badge = Badge(Tone.WARN, "unknown")
    elif days < 0:
        badge = Badge(Tone.BAD, "expired")
    else:
        word = "today is the last day" if days == 0 else f"{days} day{'s' * (days != 1)} left"
        badge = Badge(Tone.WARN if days <= SOON_DAYS else Tone.INFO, word)
    on_hand = f"{format_milli(row.on_hand)} {row.unit}"
    return Row(badge, (row.name, row.lot, _expiry(row.expiry), on_hand))


async def recall_rows(web: Web) -> tuple[Row, ...]:
    """Return the open recalls, newest first."""
    rows = await recalls.recalls(web.site, state="open")
    today = web.site.today()
    shown = rows[:ROWS_MAX]
    names = await web.site.store.read(
        lambda tx: {row.item_id: catalog.get_item(tx, row.item_id).name for row in shown}
    )
    return tuple(_recall(row, names[row.item_id], web.site.zone, today) for row in shown)


def _recall(row: RecallRow, name: str, zone: ZoneInfo, today: date) -> Row:
    return Row(
        Badge(Tone.BAD, f"class {row.recall_class}"),
        (
            row.reference,
            f"{name} {row.item_id}",
            row.lot or "every lot",
            row.reason,
            when(row.opened_at, zone, today),
        ),
    )


async def proposal_rows(web: Web) -> tuple[Row, ...]:
    """Return the open proposals."""
    rows = await reordering.proposals(web.site)
    today = web.site.today()
    return tuple(_proposal(row, web.site.zone, today) for row in rows[:ROWS_MAX])


def _proposal(row: ProposalRow, zone: ZoneInfo, today: date) -> Row:
    why = json.loads(row.explanation)
    packs = row.milli // row.pack_milli
    numbers = (
        f"position {format_milli(why['position_milli'])}, orders at"
        f" {format_milli(why['trigger_milli'])}, up to {format_milli(why['target_milli'])}"
    )
    return Row(
        Badge(Tone.INFO, "open"),
        (
            row.name,
            f"{packs} x {format_milli(row.pack_milli)} {row.unit}",
            numbers,
            when(row.updated_at, zone, today),
        ),
    )


async def dispense_rows(web: Web) -> tuple[Row, ...]:
    """Return the last dispenses, newest first."""
    rows = await web.site.store.read(lambda tx: dispenses.newest(tx, DISPENSES_MAX))
    today = web.site.today()
    return tuple(_dispense(row, web.site.zone, today) for row in rows)


def _dispense(row: DispenseRow, zone: ZoneInfo, today: date) -> Row:
    word = _DISPENSE_WORDS.get(row.state, row.state)
    counted = "" if row.counted_milli is None else format_milli(row.counted_milli)
    return Row(
        Badge(_DISPENSE_TONES[row.state], word),
        (
            row.name,
            str(row.id),
            f"{format_milli(row.milli)} {row.unit}",
            counted,
            row.device_id or "",
            row.note,
            when(row.updated_at, zone, today),
        ),
    )


async def job_rows_of(web: Web) -> tuple[Row, ...]:
    """Return each job with its last run and when it is due next."""
    last = {row.job: row for row in await web.site.store.read(job_rows.last_runs)}
    today = web.site.today()
    zone = web.site.zone
    views = []
    for name in web.job_names:
        run = last.get(name)
        due = web.jobs.next_due(name)
        badge = Badge(Tone.INFO, "not run yet")
        if run is not None:
            tones = {"done": Tone.OK, "failed": Tone.BAD, "running": Tone.INFO}
            badge = Badge(tones[run.state], run.state)
        views.append(
            Row(
                badge,
                (
                    name,
                    _result(run.result) if run else "",
                    when(run.finished_at or run.started_at, zone, today) if run else "",
                    when(due, zone, today) if due else "switched off",
                ),
            )
        )
    return tuple(views)


def _result(text: str) -> str:
    """Word the result of a job; a report in JSON is reduced to its numbers."""
    if not text.startswith("{"):
        return text
    report = json.loads(text)
    numbers = [f"{report[key]} {key}" for key in ("movements", "balances") if key in report]
    return ", ".join(numbers) + " compared" if numbers else text


# ---------------------------------------------------------------- at a glance


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many dispenses are where; settled and voided ones do not count."""

    in_doubt: int
    to_verify: int
    under_way: int


async def waiting_counts(web: Web) -> Waiting:
    """Count the dispenses that are not finished."""
    by_state = await web.site.store.read(counts.unfinished_dispenses)
    in_doubt = by_state.get(DispenseState.IN_DOUBT, 0)
    to_verify = by_state.get(DispenseState.COUNTED, 0)
    return Waiting(in_doubt, to_verify, sum(by_state.values()) - in_doubt - to_verify)


def standing_problems(web: Web) -> tuple[str, ...]:
    """Return sentences about what stops the whole system or a job."""
    reason = web.site.store.read_only_reason
    sentences = [] if reason is None else [f"Nothing can be written: {reason}."]
    sentences += [f"Job {name} failed: {why}" for name, why in web.jobs.failing.items()]
    return tuple(sentences)
