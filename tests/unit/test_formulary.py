"""Formulary files: every fault at once, with its line and column."""

from pathlib import Path

import pytest

from dispensed.exchange.formulary import (
    COLUMNS,
    FAULTS_SHOWN_MAX,
    FormularyError,
    parse_formulary,
)
from dispensed.model.catalog import Schedule
from dispensed.model.ndc import NdcDirectory, parse_ndc
from dispensed.model.planning import PolicyKind, ReorderPolicy
from dispensed.model.quantity import Unit

DEMO = Path(__file__).parents[2] / "config" / "formulary.demo.csv"
GOOD = {
    "item_id": "00071101468",
    "ndc": "0071-1014-68",
    "gtin": "00300711014687",
    "name": "Lyrica",
    "strength": "75 mg",
    "form": "capsule",
    "labeler": '"Parke-Davis, Division of Pfizer"',
    "unit": "EA",
    "pack_quantity": "90",
    "schedule": "CV",
    "storage": "room",
    "hazardous": "no",
    "high_alert": "yes",
    "piece_weight_mg": "150.25",
    "piece_weight_sd_mg": "2.5",
    "policy": "min_max",
    "policy_min": "180",
    "policy_max": "810",
    "minimum_packs": "2",
    "source": "D-0649-2016",
}
HEADER = ",".join(COLUMNS)


def row(**changes: str) -> str:
    return ",".join({**GOOD, **changes}[column] for column in COLUMNS)


def faults(*lines: str) -> list[tuple[int, str]]:
    with pytest.raises(FormularyError) as caught:
        parse_formulary("\n".join(lines))
    return [(fault.line, fault.column) for fault in caught.value.faults]


def test_a_row_becomes_an_item_and_its_policy() -> None:
    (entry,) = parse_formulary(f"# a comment, with\n\n{HEADER}\n{row()}\n")
    item = entry.item
    assert item.labeler == "Parke-Davis, Division of Pfizer"
    assert item.pack_milli == 90_000
    assert (item.piece_weight_ug, item.piece_weight_sd_ug) == (150_250, 2_500)
    assert (item.hazardous, item.high_alert) == (False, True)
    assert item.schedule is Schedule.CV
    assert entry.policy == ReorderPolicy(PolicyKind.MIN_MAX, 180_000, 810_000, 90_000, 2)
    assert entry.source == "D-0649-2016"


def test_line_ends_of_another_system_and_a_byte_order_mark_are_accepted() -> None:
    assert len(parse_formulary(f"\ufeff{HEADER}\r\n{row()}\r\n")) == 1


def test_the_order_of_the_columns_is_free() -> None:
    backwards = tuple(reversed(COLUMNS))
    text = ",".join(backwards) + "\n" + ",".join(GOOD[column] for column in backwards)
    assert parse_formulary(text)[0].item.name == "Lyrica"


def test_empty_optional_cells_are_none() -> None:
    text = row(
        item_id="house-made",
        ndc="",
        gtin="",
        piece_weight_mg="",
        piece_weight_sd_mg="",
        policy="none",
        policy_min="",
        policy_max="",
    )
    (entry,) = parse_formulary(f"{HEADER}\n{text}")
    assert (entry.item.ndc, entry.item.gtin, entry.item.piece_weight_ug) == (None, None, None)
    assert entry.policy.kind is PolicyKind.NONE


def test_par_needs_only_its_level() -> None:
    (entry,) = parse_formulary(f"{HEADER}\n{row(policy='par', policy_min='')}")
    assert entry.policy == ReorderPolicy(PolicyKind.PAR, 810_000, 810_000, 90_000, 2)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("item_id", ""),
        ("ndc", "0071101468"),
        ("gtin", "00300711014688"),
        ("name", ""),
        ("strength", " "),
        ("form", "cap\x07sule"),
        ("labeler", ""),
        ("unit", "pills"),
        ("pack_quantity", "0"),
        ("pack_quantity", "1.0005"),
        ("pack_quantity", "-90"),
        ("schedule", "CI"),
        ("storage", "cellar"),
        ("hazardous", "maybe"),
        ("high_alert", ""),
        ("piece_weight_mg", "150 EA"),
        ("piece_weight_sd_mg", "1e1"),
        ("policy", "guess"),
        ("policy_min", "-1"),
        ("policy_max", "many"),
        ("minimum_packs", "1.5"),
        ("minimum_packs", ""),
        ("minimum_packs", "12345"),
        ("source", ""),
    ],
)
def test_a_bad_cell_is_named_by_line_and_column(column: str, text: str) -> None:
    assert faults("# comment", HEADER, row(**{column: text})) == [(3, column)]


@pytest.mark.parametrize(
    "changes",
    [
        {"item_id": "00071101368"},
        {"gtin": "00300710155237"},
        {"piece_weight_sd_mg": ""},
        {"policy_min": "900"},
        {"minimum_packs": "0"},
    ],
)
def test_cells_that_contradict_each_other_are_a_fault_of_the_line(changes: dict[str, str]) -> None:
    assert faults(HEADER, row(**changes)) == [(2, "")]


def test_every_fault_of_the_file_is_reported_at_once() -> None:
    found = faults(
        HEADER,
        row(unit="pills", schedule="CI", minimum_packs="x", source=""),
        '"unclosed',
        "one,two",
        row(),
        row(item_id="00071101469", ndc="0071-1014-69", gtin=""),
        row(ndc="bad", policy_max="bad"),
    )
    assert found == [
        (2, "unit"),
        (2, "schedule"),
        (2, "minimum_packs"),
        (2, "source"),
        (3, ""),
        (4, ""),
        (7, "ndc"),
        (7, "policy_max"),
    ]


def test_a_product_that_is_there_twice_names_both_lines() -> None:
    with pytest.raises(FormularyError, match="line 3, item_id: 00071101468 is on line 2 too"):
        parse_formulary(f"{HEADER}\n{row()}\n{row(gtin='')}")
    with pytest.raises(FormularyError, match="line 3, gtin: 00300711014687 is on line 2 too"):
        parse_formulary(f"{HEADER}\n{row()}\n{row(item_id='other', ndc='')}")


def test_a_header_without_its_columns_is_refused() -> None:
    header = HEADER.replace("schedule", "colour") + ",unit"
    assert faults(header, row()) == [(1, "unit"), (1, "schedule"), (1, "colour")]


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment"])
def test_an_empty_file_is_refused(text: str) -> None:
    with pytest.raises(FormularyError, match="line 1: the formulary is empty"):
        parse_formulary(text)


def test_a_file_that_is_only_a_bad_line_names_it() -> None:
    assert faults('"unclosed') == [(1, "")]


def test_a_long_list_of_faults_is_cut_in_the_text_only() -> None:
    with pytest.raises(FormularyError) as caught:
        parse_formulary("\n".join([HEADER, *["x"] * 60]))
    assert len(caught.value.faults) == 60
    lines = str(caught.value).splitlines()
    assert len(lines) == FAULTS_SHOWN_MAX + 1
    assert lines[-1] == "and 10 more"


class TestDemoFormulary:
    """The file that the demo starts with."""

    entries = parse_formulary(DEMO.read_text(encoding="utf-8"))

    def test_it_holds_the_promised_range_of_products(self) -> None:
        schedules = [entry.item.schedule for entry in self.entries]
        assert len(self.entries) >= 64
        assert schedules.count(Schedule.CII) >= 6
        assert all(schedules.count(s) >= 3 for s in (Schedule.CIII, Schedule.CIV, Schedule.CV))
        assert sum(entry.item.unit is Unit.ML for entry in self.entries) >= 4

    def test_every_product_has_codes_that_agree_and_a_source(self) -> None:
        for entry in self.entries:
            assert entry.item.ndc is not None
            ndc = parse_ndc(entry.item.ndc)
            assert (entry.item.item_id, entry.item.gtin) == (ndc.ndc11, ndc.gtin14())
            assert entry.source.startswith("D-")

    def test_every_gtin_leads_back_to_its_ndc(self) -> None:
        directory = NdcDirectory(parse_ndc(entry.item.ndc or "") for entry in self.entries)
        for entry in self.entries:
            assert str(directory.ndc_of_gtin(entry.item.gtin or "")) == entry.item.ndc

    def test_every_solid_has_a_piece_weight_and_no_liquid_has_one(self) -> None:
        for entry in self.entries:
            assert (entry.item.piece_weight_ug is None) == (entry.item.unit is Unit.ML)

    def test_all_layouts_and_policies_occur(self) -> None:
        layouts = {parse_ndc(entry.item.ndc or "").layout for entry in self.entries}
        assert layouts == {"4-4-2", "5-3-2", "5-4-1"}
        assert {entry.policy.kind for entry in self.entries} == set(PolicyKind)

    def test_it_says_that_piece_weights_are_not_facts(self) -> None:
        comments = [
            line for line in DEMO.read_text(encoding="utf-8").splitlines() if line.startswith("#")
        ]
        assert any("piece_weight_mg" in line and "NOT facts" in line for line in comments)
