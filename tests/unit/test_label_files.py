"""Labels as PDF: names and notes of files, what is drawn, what is refused."""

import re
import zlib
from pathlib import Path

import pytest
import reportlab
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import Label
from drivers.errors import ProtocolError
from drivers.labelpdf import DIGEST_KEY, Page, data_matrix, label_digest, load_font, render
from drivers.labels import LabelError, element_string
from drivers.pdf.codec import Note, decode_note, encode_note, file_stem, folder_of

GS1 = (("01", "00300710155237"), ("17", "271231"), ("10", "LOT123"))
DIGEST = "ab" * 32


@pytest.mark.parametrize(
    ("request_id", "stem"),
    [
        ("17-1", "label-17-1"),
        ("../up", "label-%2E%2E%2Fup"),
        ("a b~", "label-a%20b%7E"),
        ("Ł", "label-%C5%81"),
        (
            "",
            "label-~e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
    ],
)
def test_a_request_names_its_file(request_id: str, stem: str) -> None:
    assert file_stem(request_id) == stem


@given(st.text(max_size=200), st.text(max_size=200))
@settings(max_examples=60)
def test_two_requests_never_share_a_file_and_a_name_is_a_name(one: str, other: str) -> None:
    assert (file_stem(one) == file_stem(other)) == (one == other)
    assert re.fullmatch(r"label-[A-Za-z0-9_%~-]{1,160}", file_stem(one))


@pytest.mark.parametrize("note", [Note(written=False, digest=DIGEST), Note(True, DIGEST)])  # noqa: FBT003
def test_a_note_survives_the_disk_and_no_part_of_it_is_one(note: Note) -> None:
    data = encode_note(note)
    assert decode_note(data) == note
    for cut in range(len(data)):
        with pytest.raises(ProtocolError, match="no note"):
            decode_note(data[:cut])


@given(st.binary(max_size=100))
@settings(max_examples=60)
def test_garbage_is_no_note(noise: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_note(noise)


def test_the_folder_is_a_plain_path() -> None:
    assert folder_of("file:///var/lib/dispensed/labels") == "/var/lib/dispensed/labels"
    for bad in ("/var/lib", "file://host/x", "file:x", "file:///a%20b", "file:///a#b"):
        with pytest.raises(ValueError, match=re.escape(bad)):
            folder_of(bad)


def test_the_same_label_gives_the_same_page_and_the_page_tells_which_it_is() -> None:
    label = Label("T", ("(a) Tj",), GS1)
    page = render(label, Page())
    assert render(label, Page()) == page
    assert (DIGEST_KEY + label_digest(label)).encode() in page
    assert label_digest(Label("T", ("(a)", "Tj"), GS1)) != label_digest(label)


def test_a_code_is_square_and_stands_on_its_finder() -> None:
    matrix = data_matrix(GS1)
    # FNC1, 14 pairs of digits, L, O, T and 3 are 19 codewords; 20 x 20 modules hold 22.
    assert {len(matrix), *(len(row) for row in matrix)} == {20}
    assert all(matrix[-1])
    assert all(row[0] for row in matrix)
    assert matrix[0] == (True, False) * 10


def test_what_a_label_cannot_hold_is_refused() -> None:
    with pytest.raises(LabelError, match="the font has no '中'"):
        render(Label("中", (), ()), Page())
    with pytest.raises(LabelError, match="have no room"):
        render(Label("T", (), GS1), Page(width_mm=20, height_mm=10))
    with pytest.raises(LabelError, match="check digit"):
        data_matrix((("01", "00300710155238"),))
    assert element_string((("10", "A"), ("01", "00300710155237"))) == "010030071015523710A"


def test_what_cannot_be_seen_is_drawn_as_a_question_mark(tmp_path: Path) -> None:
    assert render(Label("a\x00b\tc\x1b", (), ()), Page()) != render(Label("abc", (), ()), Page())
    bold = Path(reportlab.__file__).parent / "fonts" / "VeraBd.ttf"
    other = Page(font=str(bold))
    assert render(Label("a", (), ()), other) != render(Label("a", (), ()), Page())
    assert load_font(str(bold)).startswith("label-")
    (tmp_path / "bad.ttf").write_bytes(zlib.compress(b"no font"))
    with pytest.raises(ValueError, match=r"bad\.ttf"):
        load_font(str(tmp_path / "bad.ttf"))
