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
    """Return the value of a setting that is in force.  Raises SettingNotFoundError.

    >>> vstore.config_get("core.hash").settings[0].value
    'xxh128'
    """
    return _config.get_setting(standing(directory), os.environ, name)


def config_list(*, directory: Directory = None, layer: Layer | None = None) -> ConfigResult:
    """Return the settings in force, or those of one layer.

    >>> [setting.name for setting in vstore.config_list(layer=vstore.Layer.PROJECT).settings][:2]
    ['core.project', 'core.hash']
    """
    return _config.list_settings(standing(directory), os.environ, layer)


def config_set(
    name: str,
    value: str,
    *,
    directory: Directory = None,
    layer: Layer | None = None,
    reporter: Reporter = SILENT,
) -> ConfigResult:
    """Set a value in the project's layer, or another one; secrets stay local.  Raises ConfigInvalidError.

    >>> vstore.config_set("core.autostage", "false").settings[0].layer
    'project'
    """
    return _config.set_setting(standing(directory), os.environ, name, value, layer=layer, reporter=reporter)


def config_unset(
    name: str, *, directory: Directory = None, layer: Layer | None = None, reporter: Reporter = SILENT
) -> ConfigResult:
    """Remove a value.  Raises SettingNotFoundError.

    >>> changed = vstore.config_set("core.autostage", "false")
    >>> vstore.config_unset("core.autostage").settings
    []
    """
    return _config.unset_setting(standing(directory), os.environ, name, layer=layer, reporter=reporter)


def doctor(*, directory: Directory = None, reporter: Reporter = SILENT) -> DoctorResult:
    """Tell what works on this machine and in the repository one stands in, if any.

    >>> vstore.doctor().repository.link_types[-1]
    'copy'
    """
    return _doctor.doctor(standing(directory), reporter=reporter)
