"""OpenStack Swift: another real S3 server, by its middleware s3api.  One of each of its servers, on loopback."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from urllib.request import urlopen

from tests.servers.running import HOST, Starting, free_ports, get_programs
from tests.servers.s3 import REGION, S3Server

_HOW = "apt-get install swift-proxy swift-account swift-container swift-object memcached"
_KEY, _SECRET = "test:tester", "testing"
_KINDS = ("account", "container", "object")
_SWIFT = """\
[swift-hash]
swift_hash_path_suffix = tests
[storage-policy:0]
name = Policy-0
default = yes
"""
_STORAGE = """\
[DEFAULT]
bind_ip = {host}
bind_port = {port}
devices = {folder}/devices
mount_check = false
swift_dir = {folder}
user = {user}
workers = 0
fallocate_reserve = 0
log_level = WARNING
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
_PROXY = """\
[DEFAULT]
bind_ip = {host}
bind_port = {port}
swift_dir = {folder}
user = {user}
workers = 0
log_level = WARNING
max_clients = 1024
[pipeline:main]
pipeline = catch_errors cache listing_formats bulk s3api tempauth slo dlo versioned_writes symlink copy proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = {host}:{memory_port}
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = {region}
s3_acl = false
check_bucket_owner = false
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = {secret} .admin
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
[filter:symlink]
use = egg:swift#symlink
[filter:copy]
use = egg:swift#copy
"""


def start_swift(starting: Starting) -> S3Server:
    """Start Swift with one user.  It refuses conditional writes, deletes only one by one, and checks the region."""
    programs = ("swift-ring-builder", "memcached", "swift-proxy-server", *(f"swift-{kind}-server" for kind in _KINDS))
    paths = get_programs("OpenStack Swift", *programs, lost="S3 on Swift", how=_HOW)
    builder, memcached, proxy, *servers = paths
    folder = starting.folder
    (folder / "devices" / "disk").mkdir(parents=True)
    (folder / "swift.conf").write_text(_SWIFT)
    port, memory_port, *ports = free_ports(2 + len(_KINDS))
    facts = {"folder": folder, "host": HOST, "user": getpass.getuser()}
    env = {"SWIFT_DIR": str(folder)}
    for kind, kind_port in zip(_KINDS, ports, strict=True):
        ring = folder / f"{kind}.builder"
        starting.run(builder, ring, "create", "4", "1", "0", env=env)
        starting.run(builder, ring, "add", f"r1z1-{HOST}:{kind_port}/disk", "1", env=env)
        starting.run(builder, ring, "rebalance", env=env)
        _config(folder, kind).write_text(_STORAGE.format(kind=kind, port=kind_port, **facts))
    text = _PROXY.format(port=port, memory_port=memory_port, region=REGION, secret=_SECRET, **facts)
    _config(folder, "proxy").write_text(text)
    starting.start("memcached", memcached, "-u", getpass.getuser(), "-l", HOST, "-p", str(memory_port))
    for kind, server in zip(_KINDS, servers, strict=True):
        starting.start(kind, server, _config(folder, kind), "-v", env=env)
    daemon = starting.start("proxy", proxy, _config(folder, "proxy"), "-v", env=env)
    for each in (memory_port, *ports, port):
        daemon.wait_for_port(each)
    with urlopen(f"http://{HOST}:{port}/info", timeout=60) as answer:
        version = json.load(answer)["swift"]["version"]
    return S3Server(f"OpenStack Swift {version} (real)", port, _KEY, _SECRET)


def _config(folder: Path, kind: str) -> Path:
    return folder / f"{kind}.conf"
