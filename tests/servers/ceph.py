"""Ceph: a real S3 server, its object gateway on a cluster of one monitor and one store in memory."""

from __future__ import annotations

import uuid
from pathlib import Path

from tests.servers.running import HOST, Starting, free_ports, get_programs
from tests.servers.s3 import REGION, S3Server

_KEY, _SECRET = "testing", "testing"
# The store in memory wants short names; nothing here is to be collected, sharded or replicated.
_CONFIG = """\
[global]
fsid = {cluster}
mon initial members = a
mon host = [v2:{host}:{mon_port}/0]
ms bind ipv6 = false
public addr = {host}
cluster addr = {host}
public network = 127.0.0.0/8
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {folder}/keyring
mon warn on insecure global id reclaim = false
mon warn on insecure global id reclaim allowed = false
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 4000
mon data avail warn = 1
mon data avail crit = 1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
run dir = {folder}
pid file =
admin socket =
log to stderr = true
log file =
crash dir = {folder}
debug ms = 0
[mon.a]
mon data = {folder}/mon
[osd]
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd memory target = 939524096
osd max object name len = 460
osd max object namespace len = 64
[client.rgw.a]
rgw data = {folder}
rgw frontends = beast endpoint={host}:{port}
rgw enable usage log = false
rgw enable gc threads = false
rgw enable lc threads = false
rgw dynamic resharding = false
rgw thread pool size = 64
"""
_KEYS = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "osd": "allow *", "mgr": "allow *"},
    "client.rgw.a": {"mon": "allow rw", "osd": "allow rwx"},
    "osd.0": {"mon": "allow profile osd", "osd": "allow *"},
}


def start_ceph(starting: Starting) -> S3Server:
    """Start a cluster and its gateway, with one user; this takes a quarter of a minute."""
    programs = ("ceph", "ceph-authtool", "monmaptool", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin")
    how = "apt-get install ceph-mon ceph-osd radosgw"
    paths = get_programs("Ceph RGW", *programs, lost="S3 on a real server", how=how)
    ceph, authtool, monmaptool, mon, osd, gateway, admin = paths
    folder = starting.folder
    mon_port, port = free_ports(2)
    cluster, store = str(uuid.uuid4()), str(uuid.uuid4())
    (folder / "mon").mkdir()
    (folder / "osd").mkdir()
    config = folder / "ceph.conf"
    config.write_text(_CONFIG.format(cluster=cluster, host=HOST, mon_port=mon_port, port=port, folder=folder))
    env = {"CEPH_CONF": str(config), "CEPH_ARGS": f"-c {config}"}

    def run(*command: str | Path) -> str:
        return starting.run(*command, env=env)

    run(authtool, "--create-keyring", folder / "keyring")
    for name, capabilities in _KEYS.items():
        words = [word for part, allowed in capabilities.items() for word in ("--cap", part, allowed)]
        run(authtool, folder / "keyring", "--gen-key", "-n", name, *words)
    address = f"[v2:{HOST}:{mon_port}/0]"
    run(monmaptool, "--create", "--fsid", cluster, "--addv", "a", address, folder / "monmap")
    run(mon, "--mkfs", "-i", "a", "--monmap", folder / "monmap", "--keyring", folder / "keyring")
    starting.start("mon", mon, "-f", "-i", "a", env=env).wait_for_port(mon_port)
    run(ceph, "config", "set", "global", "mon_allow_pool_size_one", "true")
    run(ceph, "osd", "new", store, "0")
    run(ceph, "auth", "import", "-i", folder / "keyring")
    run(osd, "-i", "0", "--mkfs", "--osd-uuid", store)
    starting.start("osd", osd, "-f", "-i", "0", env=env)
    starting.start("gateway", gateway, "-f", "-n", "client.rgw.a", env=env).wait_for_port(port)
    run(
        *(admin, "-n", "client.rgw.a", "user", "create", "--uid", "tester", "--display-name", "tester"),
        *("--access-key", _KEY, "--secret", _SECRET),
    )
    version = run(gateway, "--version").split()[2]
    return S3Server(f"Ceph RGW {version} (real)", port, _KEY, _SECRET, REGION)
