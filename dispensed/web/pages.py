"""The page at `/`: rendered here, kept live by a small script that fetches its sections again.

Every section is also served alone under `/page/<section>`; the page reads the same
without a script.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from dispensed.errors import NotFound
from dispensed.services.changes import Topic
from dispensed.web import auth, views
from dispensed.web.auth import Principal, check_same_origin, principal
from dispensed.web.context import Web, WebContext
from dispensed.web.problems import Unauthenticated
from dispensed.web.views import Row, Tile, Tone

router = APIRouter()
QUERY_MAX = 64
OPENED_MAX = 50

_TEMPLATES = Environment(
    loader=PackageLoader("dispensed.web", "templates"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address of the page says: a search and the items that are unfolded."""

    query: str
    opened: frozenset[str]


Context = Mapping[str, object]
Builder = Callable[[Web, Asked], Awaitable[Context]]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page: its template, what fills it, and the topics that make it stale."""

    name: str
    template: str
    build: Builder
    topics: tuple[Topic, ...]


async def _glance(web: Web, asked: Asked) -> Context:
    del asked
    devices = views.device_views(web)
    expiring = await views.expiring_rows(web)
    urgent = [row for row in expiring if row.badge.tone in {Tone.BAD, Tone.WARN}]
    waiting = await views.waiting_counts(web)
    up = len([view for view in devices if view.badge.text == "up"])
    tiles = (
        Tile("devices", "Devices up", f"{up} of {len(devices)}", _unwell(devices), _worst(devices)),
        Tile(
            "dispenses",
            "Fills in doubt",
            str(waiting.in_doubt),
            f"{waiting.to_verify} to verify, {waiting.under_way} under way",
            Tone.BAD if waiting.in_doubt else Tone.OK,
        ),
        _count_tile("discrepancies", "Discrepancies", await views.discrepancy_rows(web)),
        _count_tile("recalls", "Recalls", await views.recall_rows(web)),
        Tile(
            "expiring",
            "Lots to pull",
            str(len(urgent)),
            f"expired or within {views.SOON_DAYS} days",
            Tone.WARN if urgent else Tone.OK,
        ),
        Tile(
            "proposals",
            "Orders proposed",
            str(len(await views.proposal_rows(web))),
            "to approve or reject",
            Tone.INFO,
        ),
    )
    problems = views.standing_problems(web)
    return {"tiles": tiles, "problems": problems}


def _unwell(devices: tuple[views.DeviceView, ...]) -> str:
    named = [
        f"{view.badge.text}: {view.name}"
        for view in devices
        if view.badge.tone in {Tone.BAD, Tone.WARN}
    ]
    return ", ".join(named) or "all answer"


def _worst(devices: tuple[views.DeviceView, ...]) -> Tone:
    tones = {view.badge.tone for view in devices}
    return next((tone for tone in (Tone.BAD, Tone.WARN) if tone in tones), Tone.OK)


def _count_tile(anchor: str, label: str, rows: tuple[Row, ...]) -> Tile:
    bad = any(row.badge.tone is Tone.BAD for row in rows)
    tone = Tone.BAD if bad else Tone.WARN if rows else Tone.OK
    return Tile(anchor, label, str(len(rows)), "open" if rows else "none open", tone)


async def _devices(web: Web, asked: Asked) -> Context:
    del asked
    return {"devices": views.device_views(web)}


async def _stock(web: Web, asked: Asked) -> Context:
    items = await views.stock_views(web, asked.query, asked.opened)
    return {
        "items": items,
        "heads": ("On hand", "Held", "Blocked", "Available"),
        "query": asked.query,
        "opened": sorted(asked.opened),
        "items_max": views.ITEMS_MAX,
        "clear": views.page_link("", sorted(asked.opened)),
    }


def _table(
    read: Callable[[Web], Awaitable[tuple[Row, ...]]],
    title: str,
    empty: str,
    heads: tuple[str, ...],
) -> Builder:
    async def build(web: Web, asked: Asked) -> Context:
        del asked
        return {"rows": await read(web), "title": title, "empty": empty, "heads": heads}

    return build


_TABLE = "table.html"
SECTIONS: Mapping[str, Section] = {
    section.name: section
    for section in (
        Section(
            "glance",
            "glance.html",
            _glance,
            ("devices", "dispenses", "discrepancies", "recalls", "stock", "proposals", "jobs"),
        ),
        Section("devices", "devices.html", _devices, ("devices",)),
        Section(
            "discrepancies",
            _TABLE,
            _table(
                views.discrepancy_rows,
                "Discrepancies",
                "The book agrees with every machine.",
                ("Item", "Lot", "Place", "Difference", "What was found", "Since"),
            ),
            ("discrepancies",),
        ),
        Section(
            "recalls",
            _TABLE,
            _table(
                views.recall_rows,
                "Recalls",
                "No recall is open.",
                ("Reference", "Item", "Lot", "Reason", "Since"),
            ),
            ("recalls",),
        ),
        Section(
            "dispenses",
            _TABLE,
            _table(
                views.dispense_rows,
                "Last dispenses",
                "Nothing has been ordered yet.",
                ("Item", "Number", "Ordered", "Counted", "Device", "Note", "Changed"),
            ),
            ("dispenses",),
        ),
        Section("stock", "stock.html", _stock, ("stock", "dispenses", "recalls")),
        Section(
            "expiring",
            _TABLE,
            _table(
                views.expiring_rows,
                "Expiring lots",
                f"No lot in stock expires within {views.EXPIRING_DAYS} days.",
                ("Item", "Lot", "Last day of use", "On hand"),
            ),
            ("stock",),
        ),
        Section(
            "proposals",
            _TABLE,
            _table(
                views.proposal_rows,
                "Proposed orders",
                "Nothing needs to be ordered.",
                ("Item", "Order", "Why", "Since"),
            ),
            ("proposals",),
        ),
        Section(
            "jobs",
            _TABLE,
            _table(
                views.job_rows_of,
                "Scheduled jobs",
                "No job is configured.",
                ("Job", "Result", "Last run", "Next run"),
            ),
            ("jobs",),
        ),
    )
}


def _asked(
    q: Annotated[str, Query(max_length=QUERY_MAX)] = "",
    opened: Annotated[tuple[str, ...], Query(alias="open", max_length=OPENED_MAX)] = (),
) -> Asked:
    return Asked(q, frozenset(opened))


AskedOf = Annotated[Asked, Depends(_asked)]


@router.get("/")
async def page(request: Request, web: WebContext, asked: AskedOf) -> Response:
    """Show everything; without a sign-in, go to the form."""
    try:
        caller = await principal(request, web)
    except Unauthenticated:
        return RedirectResponse("/sign-in", status_code=303)
    parts = [(each, await _rendered(each, web, asked)) for each in SECTIONS.values()]
    return _html("page.html", {**_common(web), "caller": caller, "parts": parts})


@router.get("/page/{name}")
async def section(
    web: WebContext,
    caller: Annotated[Principal, Depends(principal)],
    name: str,
    asked: AskedOf,
) -> Response:
    """One section alone, for the script."""
    del caller
    found = SECTIONS.get(name)
    if found is None:
        raise NotFound(f"the page has no section {name!r}")
    return HTMLResponse(await _rendered(found, web, asked))


@router.get("/sign-in")
async def sign_in_form(request: Request, web: WebContext, token: str = "") -> Response:
    """Show the sign-in form, or sign in by a link that carries the token."""
    if token:
        answer = await auth.sign_in(request, token)
        if answer is not None:
            return answer
    return _html("sign_in.html", {**_common(web), "failed": bool(token)}, failed=bool(token))


@router.post("/sign-in")
async def sign_in(
    request: Request, web: WebContext, token: Annotated[str, Form(max_length=128)] = ""
) -> Response:
    """Sign in by the form."""
    check_same_origin(request)
    answer = await auth.sign_in(request, token.strip())
    return answer or _html("sign_in.html", {**_common(web), "failed": True}, failed=True)


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End the session."""
    check_same_origin(request)
    return auth.sign_out(request)


async def _rendered(section: Section, web: Web, asked: Asked) -> str:
    context = await section.build(web, asked)
    return _TEMPLATES.get_template(section.template).render(**context)


def _common(web: Web) -> Context:
    now = views.when(web.site.now(), web.site.zone, web.site.today())
    return {"site_name": web.options.site_name, "now": now}


def _html(template: str, context: Context, *, failed: bool = False) -> Response:
    text = _TEMPLATES.get_template(template).render(**context)
    return HTMLResponse(text, status_code=401 if failed else 200)
