"""Web servers: plain HTTP, which can only be read, and WebDAV.

``connections`` speaks HTTP, by urllib3; ``transport`` reads objects and parts of them, from either kind of server;
``static`` and ``webdav`` are the two kinds; ``pages`` and ``multistatus`` read how they list a folder.
"""
