"""The rules of repacking as a site configures them."""

from pathlib import Path

import pytest

from dispensed.model.repacking import RepackOptions, UseByRule
from dispensed.settings import ConfigError, load
from dispensed.settings_sections import RepackSettings


def _load(tmp_path: Path, section: str) -> RepackOptions:
    file = tmp_path / "dispensed.toml"
    file.write_text(f"[repack]\n{section}\n")
    return load(file, {}).repack.options()


def test_without_a_section_the_rules_are_those_of_the_model() -> None:
    assert RepackSettings().options() == RepackOptions()


def test_a_site_writes_its_own_rule_with_its_source(tmp_path: Path) -> None:
    options = _load(
        tmp_path,
        'rule = "own"\nown_source = "policy 7.3, 2026-02-01"\nown_months = 3\nown_percent = 50\n'
        'lot_scheme = "{lot}-{run}"\nreturn_rule = "six-months-from-fill"',
    )
    assert options.rules["own"] == UseByRule(
        "own", "policy 7.3, 2026-02-01", months=3, days=None, percent=50
    )
    assert (options.rule, options.lot_scheme, options.return_rule) == (
        "own",
        "{lot}-{run}",
        "six-months-from-fill",
    )
    assert "twelve-months" in options.rules


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ('rule = "own"', "no rule 'own'; there are fda-unit-dose-2020"),
        ('rule = "for ever"', "no rule 'for ever'"),
        ('return_rule = "never"', "no rule 'never'; there are one-year-from-fill"),
        ('lot_scheme = "PP{yy}"', "not a scheme of lot numbers: 'PP{yy}'"),
        ("own_percent = 101", "own_percent"),
    ],
)
def test_a_rule_or_scheme_that_cannot_be_is_a_fault_of_the_configuration(
    tmp_path: Path, section: str, said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        _load(tmp_path, section)
    assert said in str(refused.value)
    assert "repack" in str(refused.value)
