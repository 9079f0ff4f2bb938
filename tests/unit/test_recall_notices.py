"""Records of openFDA are read whole, or each fault is named with its line."""

import json
from collections.abc import Mapping

import pytest

from dispensed.errors import Invalid
from dispensed.exchange.recalls.notice import (
    FAULTS_SHOWN_MAX,
    NoticeError,
    read_notices,
    read_record,
)

RECORD: Mapping[str, object] = {
    "recall_number": "D-0001-2027",
    "product_description": "Sample cream",
    "code_info": "Lot 4711",
    "classification": "Class II",
}
OTHER = {**RECORD, "recall_number": "D-0002-2027"}


def test_json_lines_are_read() -> None:
    text = f"\ufeff{json.dumps(RECORD)}\r\n\n{json.dumps(OTHER)}\n"
    notices = read_notices(text)
    assert [notice.recall_number for notice in notices] == ["D-0001-2027", "D-0002-2027"]
    assert notices[0].classification == "Class II"
    assert notices[0].text_of("product_description") == "Sample cream"
    assert notices[0].text_of("code_info") == "Lot 4711"
    assert not notices[0].text_of("more_code_info")


def test_the_document_of_openfda_is_read() -> None:
    document = {"meta": {"results": {"total": 2}}, "results": [RECORD, OTHER]}
    assert len(read_notices(json.dumps(document, indent=2))) == 2


def test_one_record_or_a_list_of_records_is_read() -> None:
    assert len(read_notices(json.dumps(RECORD, indent=2))) == 1
    assert len(read_notices(json.dumps([RECORD, OTHER]))) == 2


def test_nothing_is_no_notice() -> None:
    assert read_notices("\n \n") == ()


def test_names_of_the_weekly_report_are_read() -> None:
    record = {
        "code-info": "Lot 4711",
        "product-description": "Sample cream. Recall # D-0003-2027",
        "report-date": None,
    }
    (notice,) = read_notices(json.dumps(record))
    assert (notice.recall_number, notice.code_info) == ("D-0003-2027", "Lot 4711")


def test_more_code_info_may_be_a_list_and_an_empty_cell_not_a_number() -> None:
    notice = read_record({**RECORD, "more_code_info": ["4712, ", "4713"], "event_id": float("nan")})
    assert notice.more_code_info == "4712, 4713"
    assert not notice.event_id


def test_every_faulty_record_is_named_and_none_is_taken() -> None:
    lines = [
        json.dumps(RECORD),
        "{",
        "[1]",
        json.dumps({"code_info": "Lot 1"}),
        json.dumps({"recall_number": "D-1"}),
        json.dumps({**RECORD, "code_info": 4711}),
        json.dumps({"results": {}}),
        "[" * 100_000,
    ]
    with pytest.raises(NoticeError) as caught:
        read_notices("\n".join(lines))
    faults = caught.value.faults
    assert [fault.line for fault in faults] == [2, 3, 4, 5, 6, 7, 8]
    assert [fault.text for fault in faults[1:6]] == [
        "the record is not a JSON object",
        "recall_number is missing",
        "D-1 has neither product_description nor code_info",
        "code_info is not a text",
        "the record is not a JSON object",
    ]
    assert "line 3, record 1: the record is not a JSON object" in str(caught.value)


def test_a_faulty_record_of_a_document_is_named_by_its_number() -> None:
    with pytest.raises(NoticeError, match="line 1, record 2: recall_number is missing"):
        read_notices(json.dumps({"results": [RECORD, {}]}))


def test_a_flood_of_faults_is_counted() -> None:
    with pytest.raises(NoticeError, match="and 3 more") as caught:
        read_notices("{\n" * (FAULTS_SHOWN_MAX + 3))
    assert len(caught.value.faults) == FAULTS_SHOWN_MAX + 3


def test_a_list_of_other_things_is_no_text() -> None:
    with pytest.raises(Invalid, match="more_code_info is not a text"):
        read_record({**RECORD, "more_code_info": ["4712", 4713]})
