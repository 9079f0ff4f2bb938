"""The driver author's guide names only what exists: files, names in them, targets, commands."""

import re
from pathlib import Path

import click
import pytest

from dispensed.cli.main import cli
from simulators.__main__ import STREAMS

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "writing-a-driver.md"
ROOMS = ("dispensed", "drivers", "simulators", "config", "docs", "tests", "pyproject.toml")
FILE = re.compile(rf"(?<![\w/.-])(?:{'|'.join(ROOMS)})(?:/[\w./-]*\w)?(?![\w/])")
LINK = re.compile(r"\]\(([\w./-]+)\)")
NAMED = re.compile(r"`([A-Za-z_]+)`(?:,| and `[A-Za-z_]+`,?)? (?:in|on)\s+`([\w/]+\.py)`")
MAKE = re.compile(r"\bmake ([a-z]+)")
COMMAND = re.compile(r"^\$ (?:\w+=\S+ )?\.venv/bin/dispensed --config \S+ (.+)$", re.MULTILINE)
SIMULATOR = re.compile(r"dispensed-sim (\w+)")


def lost(text: str) -> list[str]:
    """Return what a guide names and the repository does not have."""
    code = " ".join(re.findall(r"`[^`\n]+`|^\$ .*$", text, re.MULTILINE))
    paths = {*FILE.findall(code), *(f"docs/{each}" for each in LINK.findall(text))}
    makefile = (ROOT / "Makefile").read_text()
    return [
        *sorted(path for path in paths if "/" in path and not (ROOT / path).exists()),
        *(
            f"{name} in {path}"
            for name, path in NAMED.findall(text)
            if not re.search(rf"^(?:class )?{name}\b", (ROOT / path).read_text(), re.MULTILINE)
        ),
        *(each for each in MAKE.findall(code) if f"\n{each}:" not in makefile),
        *(each for each in COMMAND.findall(text) if not _is_command(each.split())),
        *(each for each in SIMULATOR.findall(code) if each not in STREAMS),
    ]


def _is_command(words: list[str]) -> bool:
    """Whether the first two words are a command and its part, and all its options are known."""
    group = cli.get_command(click.Context(cli), words[0])
    if not isinstance(group, click.Group):
        return False
    part = group.get_command(click.Context(group), words[1])
    if part is None:
        return False
    known = {option for parameter in part.params for option in parameter.opts}
    return known.issuperset(word for word in words if word.startswith("--"))


@pytest.mark.parametrize(
    "text",
    [
        "see `drivers/nothing/codec.py`",
        "[this](nothing.md)",
        "a row of `NOTHING` in `tests/fuzz/rows.py`",
        "run `make nothing`",
        "$ .venv/bin/dispensed --config my.toml devices nothing",
        "$ .venv/bin/dispensed --config my.toml devices probe --nothing",
        "$ .venv/bin/dispensed-sim nothing",
        "$ .venv/bin/python -m pytest tests/nothing",
    ],
)
def test_what_does_not_exist_is_found(text: str) -> None:
    assert lost(text)


def test_what_the_guide_names_exists() -> None:
    text = GUIDE.read_text()
    assert len(FILE.findall(text)) > 30
    assert len(NAMED.findall(text)) > 8
    assert len(COMMAND.findall(text)) == 5
    assert lost(text) == []


def test_the_guide_is_one_page_and_contributors_are_led_to_it() -> None:
    assert len(GUIDE.read_text().splitlines()) <= 120
    assert "(docs/writing-a-driver.md)" in (ROOT / "CONTRIBUTING.md").read_text()
