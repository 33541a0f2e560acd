"""Any store that fsspec speaks to, as a transport; the only door of remotes to fsspec and its drivers.

``transport`` works with every driver; beside it stands a room for each kind of store that is spoken to in its own
way, if need be without fsspec (``http``); ``drivers`` knows which URL is whose; ``failures`` turns the exceptions of
all drivers into ours.  No driver is imported before it is asked for.
"""

from vstore.remote.fsspec_transport.drivers import check_protocol, is_known_protocol, open_fsspec, open_fsspec_origin

__all__ = ["check_protocol", "is_known_protocol", "open_fsspec", "open_fsspec_origin"]
