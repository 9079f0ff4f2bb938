"""Codes of our labels drawn and read by others: poppler draws, zxing-cpp reads, zint is a second
source of GS1 DataMatrix for what the scanner driver takes.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from drivers.base import Label
from drivers.facts import CodeScanned
from drivers.labelpdf import Page, render
from drivers.scanner.codec import Rules, read_line

pytestmark = pytest.mark.peer

GTIN, EXPIRY = ("01", "00300710155237"), ("17", "271231")
LABELS = {
    "plain": Label(
        "Atorvastatin 20 mg", ("Lot LOT123",), (GTIN, EXPIRY, ("10", "LOT123"), ("21", "SER0001"))
    ),
    "lot only": Label("T", (), (("10", "7B"), GTIN)),
    "hostile lot": Label(
        "T", (), (GTIN, EXPIRY, ("10", "A_1__2_!\"%&'()"), ("21", "_1*+,-./:;<=>?"))
    ),
    "hostile text": Label(
        "(Müller) Tj ET \\) endstream", ("%%EOF", "≤ 5 µg"), (GTIN, EXPIRY, ("10", "LOT123"))
    ),
}
CODES = {
    "plain": "01003007101552371727123110LOT123\x1d21SER0001",
    "lot only": "0100300710155237107B",
    "hostile lot": "01003007101552371727123110A_1__2_!\"%&'()\x1d21_1*+,-./:;<=>?",
    "hostile text": "01003007101552371727123110LOT123",
}


def need(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def read_pgm(data: bytes) -> list[tuple[str, str, str]]:
    """Read the codes of a grey picture as a scanner would send them: identifier, then text."""
    kind, size, deepest, pixels = data.split(b"\n", 3)
    assert (kind, deepest) == (b"P5", b"255")
    width, height = (int(number) for number in size.split())
    image = memoryview(pixels).cast("B", (height, width))
    return [
        (code.symbology_identifier, code.bytes.decode("ascii"), str(code.content_type))
        for code in zxingcpp.read_barcodes(image)
    ]


@pytest.mark.parametrize("name", LABELS)
def test_a_label_as_pdf_gives_back_its_code_and_its_text(tmp_path: Path, name: str) -> None:
    need("pdftoppm")
    file = tmp_path / "label.pdf"
    file.write_bytes(render(LABELS[name], Page()))
    drawn = subprocess.run(
        ["pdftoppm", "-r", "203", "-gray", str(file)], capture_output=True, check=True, timeout=30
    )
    assert read_pgm(drawn.stdout) == [("]d2", CODES[name], "ContentType.GS1")]
    assert drawn.stdout.startswith(b"P5\n812 406\n")  # 4 x 2 inches at 203 dpi
    text = subprocess.run(
        ["pdftotext", str(file), "-"], capture_output=True, check=True, timeout=30
    ).stdout.decode()
    assert text.split() == " ".join((LABELS[name].title, *LABELS[name].lines)).split()


@pytest.mark.parametrize(
    ("barcode", "symbology"), [("71", "d2"), ("16", "C1")], ids=["DataMatrix", "GS1-128"]
)
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            "[01]00300710155237[17]271231[10]LOT123[21]SER0001",
            "01003007101552371727123110LOT123\x1d21SER0001",
        ),
        ("[01]00300710155237[10]7B", "0100300710155237107B"),
        ("[01]00300710155237[10]A_1!\"%&'[21]_1*+,-./", None),
    ],
)
def test_what_zint_draws_is_what_the_scanner_driver_takes(
    tmp_path: Path, barcode: str, symbology: str, data: str, text: str | None
) -> None:
    expected = text or "010030071015523710A_1!\"%&'\x1d21_1*+,-./"
    picture = tmp_path / "code.png"
    subprocess.run(
        [need("zint"), "-b", barcode, "--gs1", "-d", data, "--scale", "4", "--quietzones",
         "-o", str(picture)],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    image = Image.open(picture).convert("L")
    (code,) = zxingcpp.read_barcodes(image)
    line = code.symbology_identifier.encode() + code.bytes
    assert read_line(line, Rules()) == CodeScanned(expected, symbology)
