"""Reading and changing settings, and what works with them."""

from __future__ import annotations

import os

from vstore.api.opening import Directory, standing
from vstore.config import Layer
from vstore.ops import config as _config
from vstore.ops import doctor as _doctor
from vstore.ops.config import ConfigResult
from vstore.ops.doctor import DoctorResult
from vstore.progress import SILENT, Reporter


def config_get(name: str, *, directory: Directory = None) -> ConfigResult:
    """Return the value of a setting that is in force.  Raises SettingNotFoundError."""
    return _config.get_setting(standing(directory), os.environ, name)


def config_list(*, directory: Directory = None, layer: Layer | None = None) -> ConfigResult:
    """Return the settings in force, or those of one layer."""
    return _config.list_settings(standing(directory), os.environ, layer)


def config_set(
    name: str,
    value: str,
    *,
    directory: Directory = None,
    layer: Layer | None = None,
    reporter: Reporter = SILENT,
) -> ConfigResult:
    """Set a value in the project's layer, or another one; secrets stay local.  Raises ConfigInvalidError."""
    return _config.set_setting(standing(directory), os.environ, name, value, layer=layer, reporter=reporter)


def config_unset(
    name: str, *, directory: Directory = None, layer: Layer | None = None, reporter: Reporter = SILENT
) -> ConfigResult:
    """Remove a value.  Raises SettingNotFoundError."""
    return _config.unset_setting(standing(directory), os.environ, name, layer=layer, reporter=reporter)


def doctor(*, directory: Directory = None, reporter: Reporter = SILENT) -> DoctorResult:
    """Tell what works on this machine and in the repository one stands in, if any."""
    return _doctor.doctor(standing(directory), reporter=reporter)
