"""The section `[controlled]`: what it becomes, and what it refuses."""

import pytest
from pydantic import ValidationError

from dispensed.model.controlled import ControlledOptions, Registrant
from dispensed.settings_sections import ControlledSettings


def test_the_defaults_are_those_of_the_rules() -> None:
    assert ControlledSettings().options() == ControlledOptions()


def test_the_registrant_of_the_reports_comes_from_the_settings() -> None:
    chosen = ControlledSettings(
        registrant_name="Corner Pharmacy", registrant_dea_number="AB1234563"
    )
    assert chosen.options().registrant == Registrant("Corner Pharmacy", dea_number="AB1234563")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("order_form_pattern", "[0-9", "not a regular expression"),
        ("witness_timeout_s", 121, "less than or equal to 120"),
        ("inventory_signatures", 3, "less than or equal to 2"),
    ],
)
def test_what_no_site_may_choose_is_refused(key: str, value: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ControlledSettings.model_validate({key: value})
