"""Our labels drawn by a renderer and read by a decoder that were not written here.

zpl-renderer-js (Zebrash) draws the format, zxing-cpp reads the GS1 DataMatrix out of the drawing.
"""

import base64
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import zxingcpp

from drivers.base import Label
from drivers.labels import LabelSize
from drivers.zpl.label import encode_label

pytestmark = pytest.mark.peer

NODE = Path(__file__).parent / "node"
SIZE = LabelSize()
GTIN, EXPIRY = ("01", "00300710155237"), ("17", "271231")
CASES = {
    "plain": Label(
        "Atorvastatin 20 mg", ("Lot LOT123",), (GTIN, EXPIRY, ("10", "LOT123"), ("21", "SER0001"))
    ),
    "lot only": Label("T", (), (("10", "7B"), GTIN)),
    "hostile lot": Label(
        "T", (), (GTIN, EXPIRY, ("10", "A_1__2_!\"%&'()"), ("21", "_1*+,-./:;<=>?"))
    ),
    "longest": Label("T", (), (GTIN, EXPIRY, ("10", "x_" * 10), ("21", "Z9" * 10))),
    "hostile text": Label(
        "^XZ~JA\\ ^XA^FDforged^FS",
        ("^XZ", "~JR", "\\5E_5E", '! U1 do "device.reset" ""', "\x02\x03"),
        (GTIN, EXPIRY, ("10", "LOT123")),
    ),
    "utf-8": Label("Müller", ("Ibuprofène 5 µg/ml ≤ 3 €",), (GTIN, EXPIRY, ("10", "LOT123"))),
    "crowded": Label("W" * 90, ("M" * 300, "@" * 300), (GTIN, EXPIRY, ("10", "LOT123"))),
}
CODES = {
    "plain": b"01003007101552371727123110LOT123\x1d21SER0001",
    "lot only": b"0100300710155237107B",
    "hostile lot": b"01003007101552371727123110A_1__2_!\"%&'()\x1d21_1*+,-./:;<=>?",
    "longest": b"01003007101552371727123110x_x_x_x_x_x_x_x_x_x_\x1d21Z9Z9Z9Z9Z9Z9Z9Z9Z9Z9",
    "hostile text": b"01003007101552371727123110LOT123",
    "utf-8": b"01003007101552371727123110LOT123",
    "crowded": b"01003007101552371727123110LOT123",
}


@dataclass(frozen=True)
class Drawing:
    width: int
    height: int
    pixels: bytes

    def codes(self) -> list[tuple[bytes, str, str]]:
        image = memoryview(self.pixels).cast("B", (self.height, self.width))
        return [
            (code.bytes, str(code.content_type), code.symbology_identifier)
            for code in zxingcpp.read_barcodes(image)
        ]

    def dark(self, x: int, y: int, width: int, height: int) -> int:
        """Count the black dots in a rectangle."""
        return sum(
            self.pixels[row * self.width + x : row * self.width + x + width].count(0)
            for row in range(y, y + height)
        )


@pytest.fixture(scope="module")
def peer_node() -> str:
    """Node with the renderer; a plain machine has none, continuous integration always does."""
    node = shutil.which("node")
    if node is None or not (NODE / "node_modules" / "zpl-renderer-js").is_dir():
        pytest.skip("needs node and `npm ci --prefix tests/peers/node`")
    return node


@pytest.fixture(scope="module")
def drawings(peer_node: str) -> dict[str, Drawing]:
    """Every case drawn, in one run of the renderer."""
    formats = {name: encode_label(label, SIZE) for name, label in CASES.items()}
    jobs = [
        {"zpl": zpl.decode(), "widthMm": 101.5, "heightMm": 50.75, "dpmm": 8}
        for zpl in formats.values()
    ]
    done = subprocess.run(
        [peer_node, str(NODE / "render_zpl.mjs")],
        input=json.dumps(jobs).encode(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    return {
        name: Drawing(image["width"], image["height"], base64.b64decode(image["pixels"]))
        for name, image in zip(formats, json.loads(done.stdout), strict=True)
    }


@pytest.mark.parametrize("name", CASES)
def test_a_printed_label_gives_back_gtin_lot_and_expiry(
    drawings: dict[str, Drawing], name: str
) -> None:
    assert (drawings[name].width, drawings[name].height) == (812, 406)
    assert drawings[name].codes() == [(CODES[name], "ContentType.GS1", "]d2")]


@pytest.mark.parametrize("name", ["hostile text", "utf-8", "plain"])
def test_every_line_of_text_is_drawn(drawings: dict[str, Drawing], name: str) -> None:
    rows = 1 + len(CASES[name].lines)
    for row in range(rows):
        y = 20 if row == 0 else 68 + 33 * (row - 1)
        assert drawings[name].dark(20, y, 500, 28) > 50, f"row {row} is empty"


def test_the_widest_text_keeps_clear_of_code_and_edge(drawings: dict[str, Drawing]) -> None:
    # The code stands at 636 (room for 26 modules of 6 dots); two modules left of it stay white.
    assert drawings["crowded"].dark(624, 0, 12, 180) == 0
    assert drawings["crowded"].dark(636, 20, 156, 156) > 1000
    assert drawings["crowded"].dark(792, 0, 20, 406) == 0
    assert drawings["crowded"].dark(0, 386, 812, 20) == 0
