"""The feed of recall notices, from a loopback server: kept, read, matched or given to a person."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from dispensed import jobs
from dispensed.errors import Invalid, NotFound
from dispensed.ledger import catalog, recall_notices, recall_parts
from dispensed.ledger.engine import Store
from dispensed.ledger.recall_blocks import LotKey
from dispensed.model.catalog import Item, LotState
from dispensed.model.quantity import Unit
from dispensed.services import recall_cases as services
from dispensed.services import recall_detail, recall_feed
from dispensed.services.changes import Changes
from dispensed.services.recall_cases import Decision
from dispensed.services.recall_feed import FeedProblem
from dispensed.services.recall_options import FeedOptions, RecallOptions
from dispensed.services.site import Site
from tests.ledger.book import ITEM, LATE_LOT, LOT, NOW, STAMP, put_lot, stocked
from tests.system.web_bench import ZONE, NoMachines, SetClock

Record = dict[str, str]


def record(number: str = "D-0001-2026", **changed: str) -> Record:
    """A record in the form of openFDA; its product is the one on the shelf."""
    plain = {
        "recall_number": number,
        "event_id": "90001",
        "classification": "Class II",
        "recalling_firm": "Viatris Inc",
        "reason_for_recall": "Failed dissolution specifications",
        "product_description": "Atorvastatin Calcium Tablets, 20 mg, 30-count, NDC 0071-0155-23",
        "code_info": "Lot # A12, Exp. 03/31/2027",
        "report_date": "20261118",
    }
    return {**plain, **changed}


@dataclass
class FeedServer:
    """What the loopback server answers, and what it was asked."""

    records: list[Record] = field(default_factory=list)
    status: int = 200
    raw: bytes | None = None
    etag: str = ""
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def body(self, path: str) -> bytes:
        if self.raw is not None:
            return self.raw
        query = parse_qs(urlsplit(path).query)
        skip, limit = int(query["skip"][0]), int(query["limit"][0])
        results = {"skip": skip, "limit": limit, "total": len(self.records)}
        page = self.records[skip : skip + limit]
        return json.dumps({"meta": {"results": results}, "results": page}).encode()


@contextmanager
def feed_server() -> Iterator[FeedServer]:
    """Serve a feed on a free port of this machine."""
    feed = FeedServer()

    class Handler(BaseHTTPRequestHandler):
        answers: ClassVar[FeedServer] = feed

        def do_GET(self) -> None:
            feed.asked.append(self.path)
            known = feed.etag and self.headers["If-None-Match"] == feed.etag
            body = b"" if known else feed.body(self.path)
            self.send_response(304 if known else feed.status)
            if feed.etag:
                self.send_header("ETag", feed.etag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    feed.url = f"http://127.0.0.1:{server.server_address[1]}/drug/enforcement.json"
    try:
        yield feed
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.fixture
def feed() -> Iterator[FeedServer]:
    with feed_server() as made:
        yield made


@pytest.fixture
def site(sqlite_url: str, feed: FeedServer) -> Iterator[Site]:
    options = RecallOptions(feed=FeedOptions(url=feed.url, timeout_s=5.0, page_records=2))
    with Store.open(sqlite_url) as store:
        store.write_sync(stocked)
        yield Site(store, SetClock(NOW), ZONE, NoMachines(), Changes(), recalls=options)


def with_feed(site: Site, **changed: object) -> Site:
    feed = replace(site.recalls.feed, **changed)  # type: ignore[arg-type] # a table of options
    return replace(site, recalls=replace(site.recalls, feed=feed))


def lot_state(site: Site, lot: str = LOT) -> LotState:
    return site.store.read_sync(lambda tx: catalog.get_lot(tx, ITEM, lot)).state


async def test_14_a_notice_of_the_feed_holds_the_lots_it_names(
    site: Site, feed: FeedServer
) -> None:
    feed.records = [record()]
    report = await recall_feed.poll(site)
    assert (report.stored, report.read, report.opened, report.parts) == (1, 1, (1,), 0)
    assert lot_state(site) is LotState.RECALLED
    assert lot_state(site, LATE_LOT) is LotState.RELEASED
    detail = await recall_detail.case(site, 1)
    assert (detail.row.reference, detail.row.recall_class) == ("D-0001-2026", "II")
    assert [(line.ndc, line.lot, line.expiry) for line in detail.lines] == [
        ("0071-0155-23", LOT, "2027-03-31")
    ]
    assert json.loads(detail.notices[0].raw) == record()


async def test_the_same_content_again_is_known_and_changes_nothing(
    site: Site, feed: FeedServer
) -> None:
    feed.records = [record()]
    await recall_feed.poll(site)
    feed.raw = json.dumps([dict(reversed(record().items()))]).encode()
    report = await recall_feed.poll(site)
    assert (report.stored, report.known, report.read) == (0, 1, 0)


async def test_all_pages_are_read_up_to_the_bound(site: Site, feed: FeedServer) -> None:
    feed.records = [record(f"D-000{n}-2026", event_id=str(n)) for n in range(1, 6)]
    assert (await recall_feed.poll(site)).stored == 5
    assert [urlsplit(path).query for path in feed.asked] == [
        "limit=2&skip=0",
        "limit=2&skip=2",
        "limit=2&skip=4",
    ]
    feed.records += [record(f"D-001{n}-2026", event_id=f"x{n}") for n in range(1, 6)]
    bounded = with_feed(site, pages_max=1)
    assert (await recall_feed.poll(bounded)).known == 2


async def test_a_feed_that_has_not_changed_is_not_sent_again(site: Site, feed: FeedServer) -> None:
    feed.records, feed.etag = [record()], '"v1"'
    await recall_feed.poll(site)
    report = await recall_feed.poll(site)
    assert (report.stored, report.known, len(feed.asked)) == (0, 0, 2)


async def test_one_recall_in_several_notices_is_one_case_and_updates_add_lines(
    site: Site, feed: FeedServer
) -> None:
    feed.records = [record(classification="Not Yet Classified")]
    await recall_feed.poll(site)
    first = (await recall_detail.case(site, 1)).row
    assert (first.recall_class, first.due_at.day) == ("", 23)
    feed.records = [
        record(code_info="Lots A12, B34, Exp. 03/31/2027", classification="Class I"),
        record("D-0001-2026A", code_info="Lot A12, Exp. 03/31/2027"),
    ]
    report = await recall_feed.poll(site)
    assert (report.stored, len(await services_cases(site))) == (2, 1)
    detail = await recall_detail.case(site, 1)
    assert [line.lot for line in detail.lines] == [LOT, LATE_LOT]
    assert (detail.row.recall_class, len(detail.notices)) == ("I", 3)
    assert lot_state(site, LATE_LOT) is LotState.RECALLED


async def services_cases(site: Site) -> list[int]:
    return [row.id for row in await recall_detail.cases(site, state=None)]


async def test_a_recall_of_all_lots_holds_every_lot_of_its_codes(
    site: Site, feed: FeedServer
) -> None:
    feed.records = [record(code_info="All lots remaining within expiry")]
    await recall_feed.poll(site)
    assert (lot_state(site), lot_state(site, LATE_LOT)) == (LotState.RECALLED,) * 2


async def test_a_lot_without_ndc_goes_to_a_person_who_decides(site: Site, feed: FeedServer) -> None:
    text = "Atorvastatin Calcium Tablets, 20 mg, 30-count bottle"
    feed.records = [record(product_description=text, code_info="Lot: A12, Exp 03/2027")]
    await recall_feed.poll(site)
    assert lot_state(site) is LotState.RELEASED
    waiting = await recall_detail.unresolved(site, likely=True)
    assert [(part.text, part.candidates) for part in waiting] == [(LOT, (LotKey(ITEM, LOT),))]
    assert (
        record(code_info="Lot: A12, Exp 03/2027")["code_info"][waiting[0].start : waiting[0].end]
        == LOT
    )
    with pytest.raises(Invalid, match="say why"):
        await services.decide(site, waiting[0].id, Decision(match=False, reason=" "), "ina")
    decision = Decision(match=True, reason="bottle compared", targets=((ITEM, LOT),))
    decided = await services.decide(site, waiting[0].id, decision, "ina")
    assert (decided.state, decided.decided_by) == ("match", "ina")
    assert lot_state(site) is LotState.RECALLED
    with pytest.raises(recall_parts.AlreadyDecided, match="was decided by ina: match"):
        await services.decide(site, waiting[0].id, decision, "zoe")


async def test_ten_digits_without_dashes_are_never_matched_by_themselves(
    site: Site, feed: FeedServer
) -> None:
    feed.records = [record(product_description="Atorvastatin 20 mg NDC 0071015523")]
    await recall_feed.poll(site)
    assert lot_state(site) is LotState.RELEASED
    parts = await recall_detail.unresolved(site)
    assert LotKey(ITEM, LOT) in [key for part in parts for key in part.candidates]
    for part in parts:
        await services.decide(site, part.id, Decision(match=False, reason="another maker"), "ina")
    assert (await recall_detail.case(site, 1)).row.state in ("not_stocked", "review")


async def test_a_recall_of_what_is_not_here_waits_for_the_item_and_asks_nobody(
    site: Site, feed: FeedServer
) -> None:
    text = "Metformin Tablets, 500 mg, NDC 65862-008-01"
    feed.records = [record(product_description=text, code_info="Lot: MT0423, Exp 03/2027")]
    await recall_feed.poll(site)
    assert [row.state for row in await recall_detail.cases(site, state=None)] == ["not_stocked"]
    assert await recall_detail.unresolved(site) == ()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"status": 503}, "answered 503"),
        (
            {"raw": b"<html>maintenance</html>"},
            "notice 1: .* no record of a recall",
        ),
        ({"raw": b'{"error": {"code": "NOT_FOUND"}}'}, "1 not readable"),
        ({"raw": b"\xff\xfe\x00"}, "1 not readable"),
        ({"raw": b'{"recall_number":7}'}, "1 not readable: notice 1: recall_number is not a text"),
        ({"raw": b" " * 5000}, "more than 4000 bytes"),
    ],
)
async def test_a_broken_feed_is_told_with_its_reason_and_what_came_is_kept(
    site: Site, feed: FeedServer, changed: dict[str, object], said: str
) -> None:
    for name, value in changed.items():
        setattr(feed, name, value)
    with pytest.raises(FeedProblem, match=said):
        await recall_feed.poll(with_feed(site, bytes_max=4000))
    kept = site.store.read_sync(recall_notices.unreadable)
    assert [row.raw for row in kept] == ([feed.raw] if feed.raw and len(feed.raw) < 4000 else [])


async def test_a_silent_or_absent_feed_is_told(site: Site, tmp_path: Path) -> None:
    gone = with_feed(site, url="http://127.0.0.1:9/none")
    with pytest.raises(FeedProblem, match="ConnectError"):
        await recall_feed.poll(gone)
    with pytest.raises(FeedProblem, match="No such file"):
        await recall_feed.poll(with_feed(site, url="", file=str(tmp_path / "none.json")))
    long = tmp_path / "long.jsonl"
    long.write_bytes(b"x" * 2000)
    with pytest.raises(FeedProblem, match="longer than 1000 bytes"):
        await recall_feed.poll(with_feed(site, url="", file=str(long), bytes_max=1000))


async def test_one_bad_line_of_a_file_does_not_hide_the_others(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "notices.jsonl"
    other = record("D-0002-2026", event_id="90002")
    file.write_text(f"{json.dumps(record())}\n{{broken\n\n{json.dumps(other)}\n")
    with pytest.raises(FeedProblem, match="1 not readable"):
        await recall_feed.poll(with_feed(site, url="", file=str(file)))
    assert len(await services_cases(site)) == 2
    kept = site.store.read_sync(recall_notices.unreadable)
    assert [row.raw for row in kept] == [b"{broken"]


async def test_a_notice_that_was_kept_but_not_read_is_read_by_the_next_run(
    site: Site, feed: FeedServer
) -> None:
    raw = json.dumps(record()).encode()
    stamp = site.stamp("recalls")
    await site.store.write(
        lambda tx: recall_notices.store(tx, "feed", recall_notices.RECORD, raw, stamp)
    )
    assert (await recall_feed.poll(site)).opened == (1,)
    assert feed.asked


async def close_case(site: Site) -> None:
    for person in ("ina", "paul"):
        await services.sign(site, 1, "done", person)
    await services.close(site, 1, "returned", "ina")


async def test_a_closed_case_opens_again_when_a_later_notice_names_more(
    site: Site, feed: FeedServer
) -> None:
    feed.records = [record()]
    await recall_feed.poll(site)
    answer = services.Answer(ITEM, LOT, "shelf/A-01", "100", "a1")
    await services.answer(site, 1, answer, "tess")
    await close_case(site)
    feed.records = [record(code_info="Lots A12, C56, Exp. 03/31/2027")]
    assert (await recall_feed.poll(site)).opened == (1,)
    case = (await recall_detail.case(site, 1)).row
    assert (case.state, case.closed_at) == ("open", None)
    site.store.write_sync(lambda tx: put_lot(tx, "C56", date(2027, 3, 31)))
    assert lot_state(site, "C56") is LotState.RECALLED
    await close_case(site)
    assert not site.store.read_sync(lambda tx: catalog.has_open_recall(tx, ITEM, "C56"))


async def test_a_closed_case_stays_closed_when_a_notice_only_repeats_it(
    site: Site, feed: FeedServer
) -> None:
    feed.records = [record()]
    await recall_feed.poll(site)
    answer = services.Answer(ITEM, LOT, "shelf/A-01", "100", "a1")
    await services.answer(site, 1, answer, "tess")
    await close_case(site)
    feed.records = [record(report_date="20261125")]
    assert (await recall_feed.poll(site)).opened == ()
    assert (await recall_detail.case(site, 1)).row.state == "closed"
    text = "Atorvastatin Calcium Tablets, 20 mg"
    feed.records = [record(product_description=text, code_info="Lot Q99871")]
    report = await recall_feed.poll(site)
    assert report.parts > 0
    assert (await recall_detail.case(site, 1)).row.state == "review"
    assert len(await recall_detail.unresolved(site)) == report.parts


async def test_a_case_that_was_opened_by_hand_takes_the_number_of_its_notice(
    site: Site, feed: FeedServer
) -> None:
    line = services.LineAsked(LOT, item_id=ITEM)
    by_hand = services.CaseAsked("D-0001-2026", "", "told by telephone", (line,))
    await services.open_case(site, by_hand, "ina")
    feed.records = [record()]
    await recall_feed.poll(site)
    (case,) = await recall_detail.cases(site, state=None)
    assert (case.recall_number, case.recall_class, case.source) == ("D-0001-2026", "II", "manual")


async def test_all_lots_without_any_code_go_to_a_person(site: Site, feed: FeedServer) -> None:
    text = "Sterile compounded products of the pharmacy"
    feed.records = [record(product_description=text, code_info="All lots within expiry")]
    await recall_feed.poll(site)
    assert (await recall_detail.case(site, 1)).row.state == "review"
    parts = await recall_detail.unresolved(site)
    assert await recall_detail.unresolved(site, likely=True) == ()
    assert "named without NDC" in " ".join(part.reason for part in parts)


async def test_a_part_that_is_not_there_and_an_item_without_a_code_are_told_apart(
    site: Site,
) -> None:
    with pytest.raises(NotFound, match="no unresolved part 9"):
        await services.decide(site, 9, Decision(match=False, reason="x"), "ina")
    kit = Item("KIT-1", "First aid kit", "", "kit", "House", Unit.EA, 1000)
    await site.store.write(lambda tx: catalog.put_item(tx, kit, STAMP))
    line = services.LineAsked(None, ndc="0071-0155-23")
    with pytest.raises(Invalid, match="recall class 'V'"):
        await services.open_case(site, services.CaseAsked("R", "V", "x", (line,)), "ina")
    with pytest.raises(Invalid, match="1 to 1000 lines, not 0"):
        await services.open_case(site, services.CaseAsked("R", "I", "x", ()), "ina")
    nothing = services.CaseAsked("R", "I", "x", (services.LineAsked(LOT),))
    with pytest.raises(Invalid, match="give the NDC or the item id"):
        await services.open_case(site, nothing, "ina")


async def test_the_job_says_what_came_and_fails_with_the_reason(
    site: Site, feed: FeedServer
) -> None:
    feed.records = [record()]
    context = jobs.JobContext(site, ())
    assert await jobs.JOBS["recalls"](context) == (
        "1 new notices, 1 cases hold lots, 0 parts wait for a person, 0 places were still to answer"
    )
    feed.status = 500
    with pytest.raises(jobs.JobFailed, match="answered 500"):
        await jobs.JOBS["recalls"](context)
