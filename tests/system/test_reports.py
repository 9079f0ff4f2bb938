"""Reports: each total equals an SQL query written by hand over the journal, on both databases."""

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from dispensed.cli.main import cli
from dispensed.errors import Invalid, InvariantBroken, NotFound
from dispensed.exchange import report_csv, report_json, report_pdf
from dispensed.ledger import report_records
from dispensed.ledger.engine import Store
from dispensed.model.report import Period, Report, columns
from dispensed.services import reports
from dispensed.services.reports import REPORTS, Format, ReportsBusy, UnknownReport
from dispensed.services.site import Site
from tests.ledger.book import (
    CONTROLLED,
    DISPENSED,
    FILL,
    ITEM,
    LATE_LOT,
    ROBOT,
    SHELF,
    SHELF2,
    TODAY,
)
from tests.ledger.desk import desk
from tests.system.report_bench import (
    BEGIN,
    FROM,
    HOUR,
    IN_PERIOD,
    PERIOD,
    SINCE,
    UNTIL,
    cells,
    fill,
    of,
    sql,
    stored,
    totals,
)
from tests.system.web_bench import Bench, bench


@pytest.fixture
def site(store: Store) -> Site:
    store.write_sync(fill)
    return desk(store)[0]


# ---------------------------------------------------------------- each total by hand


def test_the_stock_card_of_a_place_adds_up_to_the_journal(site: Site) -> None:
    report = of(site, "stock-card", item=ITEM, location=SHELF, **PERIOD)
    moved = "SELECT sum(milli) FROM movement WHERE item_id = :item AND {} = :place"
    asked = {"item": ITEM, "place": SHELF}
    came = sql(site, moved.format("target") + IN_PERIOD, **asked)
    went = sql(site, moved.format("source") + IN_PERIOD, **asked)
    before = " AND occurred_at < :begin"
    opening = sql(site, moved.format("target") + before, **asked) - sql(
        site, moved.format("source") + before, **asked
    )
    assert totals(report) == {
        "opening": opening,
        "in": came,
        "out": went,
        "closing": opening + came - went,
    }
    assert cells(report, "kind", "in", "out", "balance") == [
        ("pick", None, 60_000, 40_000),
        ("pick", None, 40_000, 0),
        ("opening", 25_000, None, 25_000),
    ]
    assert dict(report.parameters)["since"] == "2026-11-04"


def test_the_stock_card_of_the_site_leaves_out_moves_within_it(site: Site) -> None:
    report = of(site, "stock-card", item=ITEM, lot=LATE_LOT, since=date(2026, 11, 1), until=TODAY)
    there = sql(
        site,
        "SELECT sum(on_hand) FROM balance WHERE item_id = :item AND lot = :lot AND NOT external",
        item=ITEM,
        lot=LATE_LOT,
    )
    assert totals(report)["closing"] == there == 14_000
    assert [kind for (kind,) in cells(report, "kind")] == [
        "opening",
        "dispense",
        "return_to_stock",
        "waste",
    ]


def test_usage_by_day_month_and_year_adds_up_to_the_journal(site: Site) -> None:
    moved = "SELECT sum(milli) FROM movement WHERE {} = :given"
    to_patients, back = (
        sql(site, moved.format(end) + IN_PERIOD, given=DISPENSED) for end in ("target", "source")
    )
    for period in Period:
        report = of(site, "usage", period=period, **PERIOD)
        assert totals(report) == {
            "given": to_patients,
            "taken back": back,
            "used": to_patients - back,
        }
    report = of(site, "usage", item=ITEM, period=Period.DAY, **PERIOD)
    assert cells(report, "period", "given", "taken_back", "used") == [
        ("2026-11-04", 90_000, 0, 90_000),
        ("2026-11-07", 40_000, 40_000, 0),
        ("2026-11-14", 0, 5_000, -5_000),
    ]


def test_expiry_lists_what_ends_within_the_days(site: Site) -> None:
    by_hand = "SELECT sum(on_hand) FROM balance WHERE NOT external AND lot = 'A12'"
    report = of(site, "expiry", days=250)
    assert totals(report) == {"to come": sql(site, by_hand)}
    assert cells(report, "item_id", "expiry", "days_left", "location_id", "on_hand") == [
        (ITEM, date(2027, 3, 31), 129, FILL, 40_000),
        (ITEM, date(2027, 3, 31), 129, SHELF, 25_000),
        (CONTROLLED, date(2027, 6, 30), 220, ROBOT, 48_000),
        (CONTROLLED, date(2027, 6, 30), 220, SHELF, 30_000),
    ]
    assert of(site, "expiry", days=128).rows == ()
    some = of(site, "expiry", days=250, item=ITEM, location=SHELF)
    assert totals(some) == {"to come": 25_000}


def test_stock_outs_are_told_while_the_item_was_ordered(site: Site) -> None:
    report = of(site, "stock-out", **PERIOD)
    assert cells(report, "location_id", "since", "until", "hours", "orders") == [
        (SHELF2, datetime.fromisoformat(FROM), BEGIN + 61 * HOUR, 23_000, 2),
        (SHELF, BEGIN + 120 * HOUR, BEGIN + 200 * HOUR, 80_000, 2),
        (ROBOT, BEGIN + 60 * HOUR, None, 386_000, 3),
    ]
    for (since, until), (orders,) in zip(
        [(120, 200), (60, 386 + 60)], cells(report, "orders")[1:], strict=True
    ):
        by_hand = "SELECT count(*) FROM dispense WHERE requested_at >= :b AND requested_at < :e"
        ends = {"b": stored(site, BEGIN + since * HOUR), "e": stored(site, BEGIN + until * HOUR)}
        assert orders == sql(site, by_hand, **ends)
    assert totals(report) == {"stock-outs": 3, "not ended": 1, "time": 489_000}
    assert len(of(site, "stock-out", location=SHELF2, **PERIOD).rows) == 1
    assert of(site, "stock-out", location=SHELF2, since=UNTIL, until=UNTIL).rows == ()
    assert of(site, "stock-out", item=CONTROLLED, **PERIOD).rows == ()
    assert of(site, "stock-out", since=UNTIL, until=UNTIL).rows == ()  # empty, but not ordered


def test_cabinet_indicators_add_up_to_the_journal(site: Site) -> None:
    report = of(site, "cabinets", days=90, since=date(2026, 11, 1), until=TODAY)
    vends = sql(
        site,
        "SELECT count(*) FROM movement WHERE source = 'robot1'"
        " AND kind IN ('output', 'remove', 'pick')",
    )
    fills = sql(site, "SELECT count(*) FROM movement WHERE target = 'robot1' AND kind = 'load'")
    assert totals(report) == {
        "vends": vends,
        "fills": fills,
        "stock-outs": 1,
        "items not vended": 0,
    }
    assert report.rows == ((ROBOT, 1, 2, 2, 1_000, 1, 50_000, 0),)
    late = of(site, "cabinets", location=ROBOT, days=1, since=TODAY, until=TODAY)
    assert late.rows == ((ROBOT, 1, 0, 0, None, 0, None, 1),)


def test_the_dispensing_log_adds_up_to_the_journal(site: Site) -> None:
    report = of(site, "dispensing-log", **PERIOD)
    net = sql(
        site,
        "SELECT sum(CASE WHEN target = 'ext:dispensed' THEN milli ELSE -milli END) FROM movement"
        " WHERE 'ext:dispensed' IN (source, target)"
        " AND occurred_at >= :begin AND occurred_at < :end",
    )
    assert totals(report) == {"handed out": net, "lines": 6}
    assert cells(report, "kind", "quantity", "patient_key", "order_ref", "verified_by") == [
        ("dispense", 60_000, "p-1", "rx1", "pat"),
        ("dispense", 30_000, "p-2", "rx2", "pat"),
        ("give", 2_000, None, None, None),
        ("dispense", 40_000, "p-3", "rx3", None),
        ("reversal", -40_000, "p-3", "rx3", None),
        ("return_to_stock", -5_000, None, None, None),
    ]
    assert totals(of(site, "dispensing-log", item=CONTROLLED, **PERIOD)) == {
        "handed out": 2_000,
        "lines": 1,
    }


def test_the_perpetual_record_of_a_controlled_item_adds_up_to_the_journal(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_records, "PAGE", 2)
    report = of(site, "controlled-record", item=CONTROLLED, since=date(2026, 11, 1), until=TODAY)
    out = sql(
        site,
        "SELECT sum(milli) FROM movement WHERE item_id = :item AND target = 'ext:dispensed'",
        item=CONTROLLED,
    )
    assert totals(report) == {"opening": 0, "in": 80_000, "out": out, "closing": 80_000 - out}
    with pytest.raises(Invalid, match="not a controlled substance"):
        of(site, "controlled-record", item=ITEM)


# ---------------------------------------------------------------- the extent


def test_a_report_says_what_it_does_not_show_and_totals_stay_whole(site: Site) -> None:
    whole = of(site, "dispensing-log", **PERIOD)
    part = of(site, "dispensing-log", limit=2, **PERIOD)
    assert part.rows == whole.rows[:2]
    assert part.totals == whole.totals
    said = "the first 2 of 6 rows; the totals are over all of them"
    assert part.extent == said
    assert said in report_csv.write(part).decode()
    assert json.loads(report_json.write(part))["extent"] == said
    assert said in pages(report_pdf.write(part))


def test_only_so_many_reports_are_made_at_once(site: Site) -> None:
    with reports._place(), reports._place(), pytest.raises(ReportsBusy, match="2 reports"):
        of(site, "expiry")


@pytest.mark.parametrize(
    ("name", "wanted", "said"),
    [
        ("usage", {"lot": "A"}, "does not take lot; it takes item, period, since, until, limit"),
        ("stock-card", {}, "needs item"),
        ("expiry", {"limit": 0}, "a limit is 1 to 100000 rows, not 0"),
        ("expiry", {"days": -1}, "days are 0 to 36500, not -1"),
        ("usage", {"since": TODAY, "until": SINCE}, "ends on 2026-11-04, before it begins"),
        ("usage", {"until": date.max}, "the last day of the calendar"),
    ],
)
def test_what_a_report_does_not_take_or_lacks_is_refused(
    sqlite_url: str, name: str, wanted: dict[str, object], said: str
) -> None:
    with Store.open(sqlite_url, readers=1) as store:
        site, _ = desk(store)
        with pytest.raises(Invalid, match=re.escape(said)):
            of(site, name, **wanted)
        with pytest.raises(UnknownReport, match="there is no report 'x'; there are stock-card"):
            of(site, "x")
        with pytest.raises(NotFound):
            of(site, "recall-case", number=1)


# ---------------------------------------------------------------- how they are written

REPORT = Report(
    name="usage",
    title="Usage",
    made_at=datetime(2026, 11, 22, 16, 0, tzinfo=UTC),
    zone="America/New_York",
    parameters=(("since", "2026-11-01"),),
    columns=columns(("item_id::item", "used:amount", "at:time", "on:date", "lines:count")),
    rows=(
        ("=HYPERLINK(1)", -2_500, datetime(2026, 11, 1, 5, 30, tzinfo=UTC), date(2026, 1, 2), 3),
        ("plain, with a comma", None, None, None, None),
    ),
    rows_total=2,
    totals=(),
    notes=("a note",),
)


def test_csv_has_the_time_of_the_site_and_no_formulas() -> None:
    lines = list(csv.reader(io.StringIO(report_csv.write(REPORT).decode())))
    assert lines[:3] == [
        ["item", "used", "at", "on", "lines"],
        ["'=HYPERLINK(1)", "-2.5", "2026-11-01 01:30:00-04:00", "2026-01-02", "3"],
        ["plain, with a comma", "", "", "", ""],
    ]
    assert lines[3:] == [
        ["# 2 rows"],
        ["# Usage", "made", "2026-11-22 11:00:00-05:00"],
        ["# since", "2026-11-01"],
        ["# a note"],
    ]


@given(st.text(max_size=12))
@settings(max_examples=60)
def test_no_text_becomes_a_formula_and_text_survives_csv(word: str) -> None:
    report = replace(REPORT, rows=((word, 0, None, None, 0),), rows_total=1)
    written = report_csv.write(report).decode("utf-8", "surrogatepass")
    cell = list(csv.reader(io.StringIO(written, newline="")))[1][0]
    assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n")
    assert cell in (word, f"'{word}")


def test_json_reads_back_as_the_same_report() -> None:
    assert report_json.read(report_json.write(REPORT)) == REPORT


def pages(document: bytes) -> str:
    done = subprocess.run(
        ["pdftotext", "-layout", "-", "-"], input=document, capture_output=True, check=True
    )
    return done.stdout.decode()


def test_pdf_shows_every_row_wraps_long_words_and_repeats_the_heads() -> None:
    long = "x" * 400
    rows = tuple((f"item {n}", n * 1000, None, None, n) for n in range(120))
    report = replace(REPORT, rows=((long, 0, None, None, 0), *rows), rows_total=121)
    report = replace(report, notes=tuple(f"note {number}" for number in range(60)))
    document = report_pdf.write(report)
    assert document == report_pdf.write(report)
    shown = pages(document)
    assert re.sub(r"\s", "", shown).count("x") >= 400
    for number in (0, 60, 119):
        assert f"item {number} " in shown
    assert shown.count("page ") == shown.count("\f") == shown.count("used") == 4
    assert "note 59" in shown


async def test_pages_are_drawn_by_a_program_of_their_own() -> None:
    assert await reports.write(REPORT, Format.PDF) == report_pdf.write(REPORT)
    for form in (Format.CSV, Format.JSON):
        assert await reports.write(REPORT, form)
    many = replace(REPORT, rows=REPORT.rows * 10_001, rows_total=20_002)
    with pytest.raises(Invalid, match="20002 rows are too many for pages; at most 20000"):
        await reports.write(many, Format.PDF)


async def test_pages_that_are_not_drawn_are_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "PDF_TIMEOUT_S", 0.0)
    with pytest.raises(ReportsBusy, match="not drawn within 0 s"):
        await reports.write(REPORT, Format.PDF)
    monkeypatch.undo()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(InvariantBroken, match="the pages were not drawn"):
        await reports.write(REPORT, Format.PDF)


def test_a_document_that_is_no_report_is_not_drawn() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dispensed.exchange.report_pdf"],
        input=b"{}",
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout == b""


# ---------------------------------------------------------------- interface and command


@pytest.fixture
def pharmacy(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def test_reports_over_http_and_on_the_command_line(pharmacy: Bench, tmp_path: Path) -> None:
    with pharmacy.client() as api:
        listed = api.get("/api/v1/reports").json()["rows"]
        assert [row["name"] for row in listed] == list(REPORTS)
        asked = {"days": "400", "format": "csv"}
        answer = api.get("/api/v1/reports/expiry", params=asked)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == 'attachment; filename="expiry.csv"'
        found = api.get("/api/v1/reports/expiry", params={"days": 400}).json()
        assert (found["rows_total"], found["zone"]) == (5, "America/New_York")
        for path, params, status, code in (
            ("none", {}, 404, "report_not_found"),
            ("expiry", {"lot": "A"}, 422, "invalid"),
            ("expiry", {"lots": "A"}, 422, "invalid"),
        ):
            refused = api.get(f"/api/v1/reports/{path}", params=params)
            assert (refused.status_code, refused.json()["code"]) == (status, code)
    config = tmp_path / "c.toml"
    config.write_text(
        f'state_dir = "{tmp_path}/state"\n[site]\ntimezone = "America/New_York"\n'
        f'[database]\nurl = "sqlite:///{tmp_path}/dispensed.db"\n'
    )

    def run(*words: str) -> str:
        result = CliRunner().invoke(cli, ["--config", str(config), "reports", *words])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert "stock-card" in run("list")
    assert json.loads(run("list", "--json"))["rows"] == listed
    written = run("run", "expiry", "--days", "400")
    assert written.splitlines()[:6] == answer.text.splitlines()[:6]
    run("run", "expiry", "--days", "400", "--format", "pdf", "--out", str(tmp_path / "e.pdf"))
    assert (tmp_path / "e.pdf").read_bytes().startswith(b"%PDF-")
    period = ("--since", "2026-11-01", "--until", "2026-11-30", "--period", "day", "--json")
    assert json.loads(run("run", "usage", *period))["parameters"]["period"] == "day"
