"""Recall cases from the command line, against a real server."""

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispensed.ledger import tokens
from tests.system.test_cli_commands import Run, done, failed, runner, write_config
from tests.system.test_recall_api import NOTICE
from tests.system.web_bench import LISINOPRIL, STAMP, Bench, bench


@pytest.fixture
def made(sqlite_template: Path, tmp_path: Path) -> Iterator[Bench]:
    shutil.copyfile(sqlite_template, tmp_path / "dispensed.db")
    with bench(tmp_path) as opened:
        yield opened


@pytest.fixture
def run(made: Bench, tmp_path: Path) -> Run:
    port = int(made.base_url.rpartition(":")[2])
    return runner(write_config(tmp_path, port), {"DISPENSED_TOKEN": made.token})


def test_a_recall_is_worked_through_from_the_command_line(
    made: Bench, run: Run, tmp_path: Path
) -> None:
    second = made.store.write_sync(lambda tx: tokens.create(tx, "paula", "pharmacist", STAMP))
    file = tmp_path / "notices.jsonl"
    file.write_text(f"{json.dumps(NOTICE)}\n")
    told = json.loads(done(run("recalls", "import", str(file), "--json")))
    assert (told["stored"], told["opened"], told["unreadable"]) == (1, [1], [])
    (case,) = json.loads(done(run("recalls", "list", "--json")))["rows"]
    assert (case["reference"], case["state"]) == ("D-0815-2026", "open")
    assert "D-0815-2026" in done(run("recalls", "list", "--state", "all"))
    shown = done(run("recalls", "show", "1"))
    assert "Not ready: shelf/A-03 has not answered for lot L24A" in shown
    answer = ("recalls", "answer", "1", LISINOPRIL, "L24A", "shelf/A-03", "45")
    assert "45 EA to outdate" in done(run(*answer, "--request-id", "a1"))
    assert json.loads(done(run(*answer, "--request-id", "a1", "--json")))["state"] == "answered"
    sign = ("recalls", "sign", "1", "--statement", "all pulled")
    assert done(run(*sign)) == "case 1 is signed\n"
    assert "needs 2 signatures" in failed(run("recalls", "close", "1", "--reason", "x"), 1)
    assert json.loads(done(run(*sign, "--token", second, "--json")))["blockers"] == []
    assert "closed" in done(run("recalls", "close", "1", "--reason", "returned"))
    whole = json.loads(done(run("recalls", "export", "1")))
    assert whole["sums"][0]["adds_up"] is True
    archive = tmp_path / "case.zip"
    assert str(archive) in done(run("recalls", "export", "1", "--zip", str(archive)))
    assert "case.json" in zipfile.ZipFile(archive).namelist()
    assert "No such file" in failed(run("recalls", "export", "1", "--zip", "/none/x.zip"), 1)


def test_a_person_decides_what_a_notice_means(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    plain = {**NOTICE, "product_description": "Lisinopril Tablets, 10 mg", "code_info": "Lot L24A"}
    file.write_text(json.dumps({"results": [plain, 7]}))
    assert "1 not readable" in failed_import(run, file)
    rows = json.loads(done(run("recalls", "unresolved", "--json")))["rows"]
    (part,) = [str(row["id"]) for row in rows if row["candidates"]]
    assert f"{LISINOPRIL}/L24A" in done(run("recalls", "unresolved", "--likely"))
    decide = ("recalls", "decide", part, "--reason", "compared")
    assert "match or no match" in failed(run(*decide), 1)
    assert "match" in done(run(*decide, "--match", f"{LISINOPRIL}/L24A"))
    assert "was decided by bench" in failed(run(*decide, "--no-match"), 1)


def failed_import(run: Run, file: Path) -> str:
    result = run("recalls", "import", str(file))
    assert result.exit_code == 1
    return result.stderr


def test_a_case_is_opened_by_hand(run: Run) -> None:
    start = ("recalls", "open", "LETTER-1", "--reason", "wrong label")
    assert "which lots" in failed(run(*start, "--item", LISINOPRIL), 1)
    assert "what is recalled" in failed(run(*start, "--all-lots"), 1)
    opened = run(*start, "--ndc", "68180-513-01", "--lot", "L24A", "--class", "II", "--json")
    assert json.loads(done(opened))["recall_class"] == "II"
    assert "shelf/A-03" in done(run("recalls", "show", "1"))
    assert json.loads(done(run("recalls", "show", "1", "--json")))["tasks"][0]["state"] == "open"


def test_a_file_of_notices_that_is_no_text_is_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(b"\xff\xfe")
    assert "name a file in UTF-8" in failed(run("recalls", "import", str(file)), 1)
