"""The feed of recall notices: each is kept as it came, then read, then held against the catalogue.

Sources: openFDA drug enforcement API (query parameters `limit` and `skip`; answers `meta.results`
and `results`). What the reading cannot resolve goes to a person; nothing is dropped.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, cast

import httpx
import structlog

from dispensed.errors import DispensedError, Invalid
from dispensed.exchange.recalls.notice import Notice, read_record
from dispensed.exchange.recalls.parse import ParsedRecall, parse
from dispensed.ledger import recall_cases, recall_notices, recall_parts
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Stamp
from dispensed.ledger.recall_blocks import LotKey
from dispensed.ledger.recall_cases import CaseRow, NewCase, NewLine
from dispensed.ledger.recall_notices import DOCUMENT, RECORD, NoticeRow
from dispensed.ledger.recall_parts import NewUnresolved
from dispensed.model.recall import NdcKind, named_codes, read_class, read_ndc
from dispensed.services import recall_cases as cases
from dispensed.services import recalls
from dispensed.services.recall_options import FeedOptions
from dispensed.services.site import Site

ACTOR = "recalls"
BATCH = 50
"""Notices that are stored, or looked for, at once."""
TEXT_MAX = 2000
"""Longest text of one part for a person."""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class FeedProblem(DispensedError):
    """The feed gave no notices, or some that cannot be read; what came is kept."""

    code: ClassVar[str] = "recall_feed"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did: notices `stored` (new), `known` (kept before), `read` and `unreadable`.

    `opened` are the cases it tells of that hold lots; `parts` are new ones for a person.
    """

    stored: int
    known: int
    read: int
    unreadable: tuple[str, ...]
    opened: tuple[int, ...]
    parts: int


# ---------------------------------------------------------------- storing


async def import_notices(site: Site, raw: bytes, source: str, actor: str) -> ImportReport:
    """Keep every record of a document or of JSON lines, then read all that nobody has read.

    The same content again is known and changes nothing. What is no record is kept as it came.
    """
    stamp = site.stamp(actor, f"notices of {source}")
    pieces = await asyncio.to_thread(lambda: tuple(_pieces(raw)))
    stored = 0
    for first in range(0, len(pieces), BATCH):
        batch = pieces[first : first + BATCH]
        stored += await site.store.write(partial(_store, batch=batch, source=source, stamp=stamp))
    report = await read_unread(site, actor)
    return ImportReport(
        stored=stored,
        known=len(pieces) - stored,
        read=report.read,
        unreadable=report.unreadable,
        opened=report.opened,
        parts=report.parts,
    )


def _store(tx: Tx, *, batch: tuple[tuple[str, bytes], ...], source: str, stamp: Stamp) -> int:
    return sum(recall_notices.store(tx, source, kind, raw, stamp)[1] for kind, raw in batch)


def _pieces(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Divide what came into records in one spelling; what cannot be divided stays as it is."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        yield DOCUMENT, raw
        return
    records = _records(text)
    if records is not None:
        yield from (_piece(record, raw) for record in records)
        return
    for line in text.splitlines():
        if line.strip():
            whole = _records(line)
            found = whole if whole is not None else [None]
            yield from (_piece(record, line.encode()) for record in found)


def _piece(record: object, raw: bytes) -> tuple[str, bytes]:
    if not isinstance(record, dict):
        return DOCUMENT, raw
    spelt = json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return RECORD, spelt.encode()


def _records(text: str) -> list[object] | None:
    """Return the records of a JSON text; None when it is no JSON, one None for an odd document."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and "recall_number" not in value and "recall-number" not in value:
        value = value.get("results")
    if isinstance(value, list):
        return cast("list[object]", value)
    return [value]


# ---------------------------------------------------------------- reading


async def read_unread(site: Site, actor: str) -> ImportReport:
    """Read every notice that nobody has read; each is one transaction, so a stop loses nothing."""
    read, parts = 0, 0
    unreadable: list[str] = []
    opened: dict[int, None] = {}
    while rows := await site.store.read(lambda tx: recall_notices.unread(tx, BATCH)):
        for row in rows:
            stamp = site.stamp(actor, f"recall notice {row.id}")
            try:
                notice = _notice(row)
            except Invalid as error:
                unreadable.append(f"notice {row.id}: {error}")
                await site.store.write(partial(_refuse, row=row, note=str(error), stamp=stamp))
                log.warning("notice.refused", reason=str(error), source=row.source)
                continue
            parsed = await asyncio.to_thread(parse, notice)
            taken = partial(_take, site=site, row=row, notice=notice, parsed=parsed, stamp=stamp)
            case, stopped, waiting = await site.store.write(taken)
            await recalls.stop_machines(site, stopped)
            read += 1
            parts += waiting
            if case.state == "open":
                opened[case.id] = None
    return ImportReport(0, 0, read, tuple(unreadable), tuple(opened), parts)


def _notice(row: NoticeRow) -> Notice:
    if row.kind == DOCUMENT:
        raise Invalid(f"{len(row.raw)} bytes of {row.source} are no record of a recall")
    return read_record(json.loads(row.raw))


def _refuse(tx: Tx, *, row: NoticeRow, note: str, stamp: Stamp) -> None:
    recall_notices.note_reading(tx, row.id, recall_id=None, note=note, stamp=stamp)


def _take(
    tx: Tx, *, site: Site, row: NoticeRow, notice: Notice, parsed: ParsedRecall, stamp: Stamp
) -> tuple[CaseRow, frozenset[LotKey], int]:
    """Make or renew the case of a notice; returns it, the lots it stops, the parts that wait."""
    case = cases.ensure(tx, site, _new_case(notice), stamp)
    lines, parts = _plan(tx, notice, parsed, row.id)
    waiting = 0
    for part in parts:
        if not recall_parts.is_known(tx, case.id, part):
            recall_parts.add(tx, case.id, row.id, part, stamp)
            waiting += 1
    settled, stopped = cases.hold(tx, case, lines, stamp)
    text = f"{len(lines)} lines, {len(parts)} parts for a person"
    recall_notices.note_reading(tx, row.id, recall_id=case.id, note=text, stamp=stamp)
    return settled, stopped, waiting


def _new_case(notice: Notice) -> NewCase:
    return NewCase(
        reference=notice.recall_number,
        recall_number=notice.recall_number,
        event_id=notice.event_id,
        product=notice.product_description,
        labeler=notice.recalling_firm,
        recall_class=read_class(notice.classification),
        reason=notice.reason_for_recall,
        source="feed",
    )


def _plan(
    tx: Tx, notice: Notice, parsed: ParsedRecall, notice_id: int
) -> tuple[list[NewLine], list[NewUnresolved]]:
    """Divide what was read into lines that name a code clearly and parts for a person."""
    lines: list[NewLine] = []
    parts = [
        NewUnresolved(each.field, each.start, each.end, each.text[:TEXT_MAX], each.reason)
        for each in parsed.unresolved
    ]
    wanted: list[tuple[str | None, str | None, str | None]] = [
        (pair.ndc, pair.lot, pair.expiry) for pair in parsed.pairs
    ]
    texts = f"{notice.product_description}\n{notice.code_info}\n{notice.more_code_info}"
    if parsed.all_lots:
        codes = named_codes(texts)
        wanted += [(code, None, None) for code in codes or (None,)]
    without: list[str] = []
    for ndc, lot, expiry in wanted:
        code = None if ndc is None else read_ndc(ndc)
        if code is not None and code.kind in (NdcKind.PACKAGE, NdcKind.PRODUCT):
            lines.append(NewLine(lot, ndc or "", code.digits, None, expiry, notice_id))
        elif code is not None:
            parts.append(_unclear(tx, notice, code.digits, ndc or "", lot))
        elif lot is not None and (found := _lots_here(tx, notice, lot)):
            reason = "a lot without NDC; lots of this number are here"
            parts.append(_part(notice, lot, reason, found))
        else:
            without.append(lot or "all lots")
    if without:
        reason = "named without NDC; none of the drug's lots here has this number"
        parts.append(_part(notice, ", ".join(without), reason, ()))
    if not lines and not parts:
        parts.append(_part(notice, notice.code_info, "nothing could be read", ()))
    return lines, parts


def _lots_here(tx: Tx, notice: Notice, lot: str) -> tuple[LotKey, ...]:
    return recall_parts.candidates(
        tx, lot, product=notice.product_description, labeler=notice.recalling_firm
    )


def _unclear(tx: Tx, notice: Notice, digits: str, ndc: str, lot: str | None) -> NewUnresolved:
    """Ask a person about a code that fits several packages; ten digits have three readings."""
    readings = {f"0{digits}", f"{digits[:5]}0{digits[5:]}", f"{digits[:9]}0{digits[9:]}"}
    items = {item for each in readings for item in recall_cases.items_of(tx, each)}
    found = tuple(LotKey(item, lot or "") for item in sorted(items))
    reason = f"NDC {ndc} is not clear; lot {lot or 'all lots'}"
    return _part(notice, ndc, reason, found)


def _part(notice: Notice, text: str, reason: str, found: tuple[LotKey, ...]) -> NewUnresolved:
    """Return a part with its place in the notice, that of its first occurrence."""
    for field in ("code_info", "more_code_info", "product_description"):
        start = notice.text_of(field).find(text)
        if start >= 0:
            end = min(start + len(text), start + TEXT_MAX)
            return NewUnresolved(field, start, end, text[:TEXT_MAX], reason, found)
    end = min(len(notice.code_info), TEXT_MAX)
    return NewUnresolved("code_info", 0, end, text[:TEXT_MAX], reason, found)


# ---------------------------------------------------------------- asking the feed


async def poll(site: Site) -> ImportReport:
    """Ask the configured address and file for notices and take them in.

    Raises FeedProblem when the feed cannot be had, is too long, or some of it cannot be read; what
    came is kept and what can be read is read all the same.
    """
    feed = site.recalls.feed
    reports = [await read_unread(site, ACTOR)]
    if feed.file:
        raw = await asyncio.to_thread(_read_file, Path(feed.file), feed.bytes_max)
        reports.append(await import_notices(site, raw, feed.file, ACTOR))
    if feed.url:
        reports += await _pages(site, feed)
    report = ImportReport(
        stored=sum(each.stored for each in reports),
        known=sum(each.known for each in reports),
        read=sum(each.read for each in reports),
        unreadable=tuple(text for each in reports for text in each.unreadable),
        opened=tuple(sorted({case for each in reports for case in each.opened})),
        parts=sum(each.parts for each in reports),
    )
    if report.unreadable:
        raise FeedProblem(f"{len(report.unreadable)} not readable: {report.unreadable[0]}")
    return report


def _read_file(path: Path, bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(bytes_max + 1)
    except OSError as error:
        raise FeedProblem(f"{path}: {error.strerror}") from error
    if len(raw) > bytes_max:
        raise FeedProblem(f"{path} is longer than {bytes_max} bytes")
    return raw


async def _pages(site: Site, feed: FeedOptions) -> list[ImportReport]:
    """Read page after page as long as the answers say that there are more."""
    reports: list[ImportReport] = []
    async with httpx.AsyncClient(timeout=feed.timeout_s, trust_env=False) as client:
        for page in range(feed.pages_max):
            answer = await _ask(client, feed, skip=page * feed.page_records)
            if answer is None:
                break
            raw, etag = answer
            reports.append(await import_notices(site, raw, feed.url, ACTOR))
            if page == 0 and etag:
                feed.etags[feed.url] = etag  # only what is kept is not asked for again
            if (page + 1) * feed.page_records >= _total(raw):
                break
    return reports


async def _ask(
    client: httpx.AsyncClient, feed: FeedOptions, *, skip: int
) -> tuple[bytes, str] | None:
    """Return one page and its ETag, None when the feed says that it has not changed."""
    url = httpx.URL(feed.url).copy_merge_params({"limit": feed.page_records, "skip": skip})
    known = feed.etags.get(feed.url) if skip == 0 else None
    headers = {"Accept": "application/json", **({"If-None-Match": known} if known else {})}
    try:
        async with (
            asyncio.timeout(feed.timeout_s),
            client.stream("GET", url, headers=headers) as answer,
        ):
            if answer.status_code == httpx.codes.NOT_MODIFIED:
                return None
            if answer.status_code != httpx.codes.OK:
                raise FeedProblem(f"{feed.url} answered {answer.status_code}")
            raw = bytearray()
            async for piece in answer.aiter_bytes():
                raw += piece
                if len(raw) > feed.bytes_max:
                    raise FeedProblem(f"{feed.url} sent more than {feed.bytes_max} bytes")
    except (httpx.HTTPError, TimeoutError) as error:
        what = str(error) or f"no answer within {feed.timeout_s:g} s"
        raise FeedProblem(f"{feed.url}: {type(error).__name__}: {what}") from error
    return bytes(raw), answer.headers.get("ETag", "")


def _total(raw: bytes) -> int:
    """Return how many records an openFDA answer says there are; 0 for anything else."""
    try:
        value: object = json.loads(raw)
    except (ValueError, RecursionError):
        return 0
    for key in ("meta", "results", "total"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, int) else 0
