"""What dispensed finds through the entry point; the only module that knows dispensed."""

from acme_scale.codec import interpret
from acme_scale.driver import AcmeScaleDriver
from dispensed.devices.registry import ScalePlugin

SCALE = ScalePlugin(AcmeScaleDriver, interpret)
