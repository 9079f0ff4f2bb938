"""`dispensed recalls parse` reads files of notices without a daemon or a configuration."""

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dispensed.cli.main import cli

RECORDS = [
    {
        "recall_number": "D-0001-2027",
        "classification": "Class II",
        "product_description": "Sample tablets, NDC 99001-123-30",
        "code_info": "Lot QX101, Exp 8/2027\n(refer to QX777)",
    },
    {
        "recall_number": "D-0002-2027",
        "product_description": "Sample cream",
        "code_info": "All lots within expiry",
    },
    {"recall_number": "D-0003-2027", "product_description": "Gel", "code_info": "Lot 4711"},
]
LINES = "".join(f"{json.dumps(record)}\n" for record in RECORDS)


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["recalls", "parse", *arguments], input=given)


def test_one_json_object_a_line_for_each_notice(tmp_path: Path) -> None:
    file = tmp_path / "notices.jsonl"
    file.write_text(LINES, "utf-8")
    result = run(str(file), "--json")
    assert result.exit_code == 0, result.output
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {
            "recall_number": "D-0001-2027",
            "all_lots": False,
            "pairs": [{"ndc": "99001-123-30", "lot": "QX101", "expiry": "2027-08"}],
            "unresolved": [
                {
                    "field": "code_info",
                    "start": 32,
                    "end": 37,
                    "text": "QX777",
                    "reason": "looks like a lot and could not be placed",
                }
            ],
        },
        {"recall_number": "D-0002-2027", "all_lots": True, "pairs": [], "unresolved": []},
        {
            "recall_number": "D-0003-2027",
            "all_lots": False,
            "pairs": [{"ndc": None, "lot": "4711", "expiry": None}],
            "unresolved": [],
        },
    ]


def test_a_document_a_packed_file_and_standard_input_give_the_same(tmp_path: Path) -> None:
    document = json.dumps({"meta": {}, "results": RECORDS}, indent=1)
    plain = tmp_path / "notices.json"
    plain.write_text(document, "utf-8")
    packed = tmp_path / "notices.jsonl.gz"
    packed.write_bytes(gzip.compress(LINES.encode()))
    results = [
        run(str(plain), "--json"),
        run(str(packed), "--json"),
        run("-", "--json", given=LINES),
    ]
    assert {result.exit_code for result in results} == {0}
    assert len({result.stdout for result in results}) == 1


def test_people_see_what_was_not_resolved_in_its_surroundings() -> None:
    result = run("-", given=LINES)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "D-0001-2027  Class II",
        "  NDC 99001-123-30  lot QX101  expiry 2027-08",
        "  not resolved, code_info 32-37: looks like a lot and could not be placed",
        "    Lot QX101, Exp 8/2027 (refer to >>QX777<<)",
        "D-0002-2027",
        "  all lots",
        "D-0003-2027",
        "  NDC -  lot 4711  expiry -",
    ]


def test_a_bad_record_is_named_by_its_line() -> None:
    result = run("-", "--json", given=LINES + "{}\n")
    assert result.exit_code == 1
    assert "line 4, record 1: recall_number is missing" in result.stderr
    assert not result.stdout


@pytest.mark.parametrize("content", [None, b"\x1f\x8b\x08\x00broken", b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "notices.jsonl"
    if content is not None:
        file.write_bytes(content)
    result = run(str(file))
    assert result.exit_code == 1
    assert "notices.jsonl cannot be read" in result.stderr
