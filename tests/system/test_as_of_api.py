"""Stock as of an instant through the HTTP interface and the command line."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from dispensed.cli.main import cli
from dispensed.ledger import post
from dispensed.ledger.post import Move, Stamp
from dispensed.model.movement import MovementKind
from tests.system.web_bench import LISINOPRIL, NOW, Bench, bench


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("as_of")


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Bench]:
    """A pharmacy where a transfer of five tablets was recorded two days after it was made."""
    with bench(folder) as made:
        late = Move(
            kind=MovementKind.TRANSFER,
            item_id=LISINOPRIL,
            lot="L24A",
            source="shelf/A-03",
            target="shelf/B-01",
            milli=5000,
            request_id="late",
            occurred_at=NOW + timedelta(days=1),
        )
        told = Stamp("tess", NOW + timedelta(days=3), "told late")
        made.store.write_sync(lambda tx: post.post(tx, late, told, on_date=NOW.date()))
        yield made


@pytest.mark.parametrize(
    ("as_of", "by", "expected"),
    [
        ("2026-11-22T12:59:00Z", "occurred", {}),
        ("2026-11-24T08:00:00-05:00", "occurred", {"shelf/A-03": "40", "shelf/B-01": "5"}),
        ("2026-11-24T08:00:00-05:00", "recorded", {"shelf/A-03": "45"}),
        ("2026-11-25T13:00:00Z", "recorded", {"shelf/A-03": "40", "shelf/B-01": "5"}),
    ],
)
def test_stock_as_of_an_instant_in_both_senses(
    site: Bench, as_of: str, by: str, expected: dict[str, str]
) -> None:
    with site.client() as api:
        wanted = {"item": LISINOPRIL, "lot": "L24A", "as_of": as_of, "by": by}
        rows = api.get("/api/v1/stock", params=wanted).json()["rows"]
    assert {row["location_id"]: row["on_hand"]["quantity"] for row in rows} == expected


def test_an_instant_without_a_zone_is_refused_over_http(site: Bench) -> None:
    with site.client() as api:
        answer = api.get("/api/v1/stock", params={"as_of": "2026-11-24T08:00:00"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_the_command_takes_the_time_of_the_site(site: Bench, folder: Path) -> None:
    config = folder / "c.toml"
    config.write_text(
        f'state_dir = "{folder}/state"\n[site]\ntimezone = "America/New_York"\n'
        f'[database]\nurl = "sqlite:///{folder}/dispensed.db"\n'
    )
    asked = ["--config", str(config), "stock", "--location", "shelf/B-01", "--item", LISINOPRIL]

    def lies(at: str, *more: str) -> list[str]:
        result = CliRunner().invoke(cli, [*asked, "--as-of", at, "--json", *more])
        assert result.exit_code == 0, result.output
        return [row["on_hand"]["quantity"] for row in json.loads(result.stdout)["rows"]]

    # The transfer was made at 13:00 UTC, which is 08:00 in New York in November.
    assert lies("2026-11-23T07:59:59") == []
    assert lies("2026-11-23T08:00") == ["5"]
    assert lies("2026-11-23T08:00+00:00") == []
    assert lies("2026-11-23T08:00", "--by", "recorded") == []
    shown = CliRunner().invoke(cli, [*asked, "--as-of", "2026-11-24"])
    assert "Lisinopril 10 mg" in shown.stdout
    refused = CliRunner().invoke(cli, [*asked, "--as-of", "yesterday"])
    assert refused.exit_code == 2
    assert "is not a time such as" in refused.stderr
    assert site.store.read_only_reason is None
