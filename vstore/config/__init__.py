"""Configuration: files in git's syntax, in layers, that make one typed Config; and the table of all settings."""

from vstore.config.editing import remove_section, rename_section, set_value, unset_value
from vstore.config.layers import (
    Config,
    Layer,
    RemoteSettings,
    Setting,
    config_paths,
    environ_elsewhere,
    load_config,
    load_foreign_config,
    masked_url,
)
from vstore.config.settings import SETTINGS, check_setting, is_secret

__all__ = [
    "SETTINGS",
    "Config",
    "Layer",
    "RemoteSettings",
    "Setting",
    "check_setting",
    "config_paths",
    "environ_elsewhere",
    "is_secret",
    "load_config",
    "load_foreign_config",
    "masked_url",
    "remove_section",
    "rename_section",
    "set_value",
    "unset_value",
]
