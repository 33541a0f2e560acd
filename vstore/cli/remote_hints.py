"""Remote hints: what to do about a remote that does not work, by cause and kind of store, or that cannot be collected;
the part of ``failure`` that is a table of its own.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from vstore.cli.plain import quote
from vstore.errors import Cause

_STORES = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "az": "az",
    "abfs": "az",
    "abfss": "az",
    "sftp": "ssh",
    "ssh": "ssh",
    "hdfs": "hdfs",
    "webhdfs": "hdfs",
    "swebhdfs": "hdfs",
    "http": "http",
    "https": "http",
    "webdav": "http",
    "webdavs": "http",
}

_HINTS = {
    Cause.DNS: "look at the address with `vstore remote list`; if it is right, see whether this machine is connected",
    Cause.REFUSED: "look at the address with `vstore remote list`; if it is right, the server does not run",
    Cause.UNREACHABLE: "when this machine is connected, perhaps by a VPN, run the same command again",
    Cause.STALLED: "run the same command again; to wait longer, `vstore config set transfer.timeout 300`",
    Cause.BROKEN: "run the same command again; if it fails each time, see what is wrong with `vstore remote check`",
    Cause.PROXY: "look at HTTPS_PROXY and NO_PROXY in `env`",
    Cause.PROXY_DENIED: "put name and password into HTTPS_PROXY, or the host of the remote into NO_PROXY",
    Cause.TLS_UNTRUSTED: "if it is the right server, name a file with its authority in SSL_CERT_FILE",
    Cause.TLS_HOST: "use a name that the certificate is for: see them with `openssl s_client -connect {address}`",
    Cause.TLS_EXPIRED: "if `date` tells the right time, the server needs a new certificate",
    Cause.TLS_FAILED: "see what the server offers with `openssl s_client -connect {address}`",
    Cause.TLS_TO_PLAIN: "if nobody may listen on the way, correct the address with `vstore remote set {name} {option} http://...`",
    Cause.PLAIN_TO_TLS: "correct the address with `vstore remote set {name} {option} https://...`",
    Cause.HOST_KEY: "if its owner says that this is its key, put it into ~/.ssh/known_hosts",
    Cause.CREDENTIALS_MISSING: "see which options there are with `vstore remote list`",
    Cause.CREDENTIALS_UNKNOWN: "see which credentials are given with `vstore remote list`",
    Cause.CREDENTIALS_WRONG: "see which credentials are given with `vstore remote list`",
    Cause.CREDENTIALS_EXPIRED: "log in again, then run the same command again",
    Cause.CLOCK: "set the clock of this machine, as with `timedatectl set-ntp true`",
    Cause.REGION: "look at the address with `vstore remote list`",
    Cause.NO_PLACE: "correct the name with `vstore remote set {name} url URL`, or make the place",
    Cause.DENIED: "ask its owner for permission to {action}",
    Cause.READ_ONLY: "push to another remote with `vstore push -r NAME`",
    Cause.BUSY: "wait a little, then run the same command again with fewer requests at once: -j 2",
    Cause.SERVER_FAILED: "run the same command again; if it fails for long, its operator has to look",
    Cause.DAMAGED: "run the same command again; if it fails for long, something on the way damages what passes",
    Cause.STALE: "use another place: a remote has to show at once what was written",
    Cause.STRANGE_ANSWER: "look at the address with `vstore remote list`",
}
"""For all kinds of stores."""

_AT_STORE: Mapping[str, Mapping[Cause, str]] = {
    "s3": {
        Cause.TLS_UNTRUSTED: "if it is the right server, trust its authority with"
        " `vstore remote set {name} ca_bundle FILE`",
        Cause.CREDENTIALS_MISSING: "give them with `aws configure`, or choose some with"
        " `vstore remote set {name} profile PROFILE`; public data needs `vstore remote set {name} anon true`",
        Cause.CREDENTIALS_UNKNOWN: "see which are used with `aws configure list`, and give others with `aws configure`"
        " or `vstore remote set {name} key KEY`",
        Cause.CREDENTIALS_WRONG: "give key and secret anew, with `aws configure` or"
        " `vstore remote set {name} secret SECRET`",
        Cause.CREDENTIALS_EXPIRED: "get new ones with `aws sso login`, or as you got these",
        Cause.REGION: "name the right one with `vstore remote set {name} region {region}`",
        Cause.NO_PLACE: "make it with `aws s3 mb s3://{bucket}`, or correct its name with"
        " `vstore remote set {name} url URL`",
        Cause.DENIED: "have {permission} allowed to who you are there: `aws sts get-caller-identity` tells",
    },
    "gs": {
        Cause.CREDENTIALS_MISSING: "log in with `gcloud auth application-default login`, or name a key file with"
        " `vstore remote set {name} token FILE`; public data needs `vstore remote set {name} anon true`",
        Cause.CREDENTIALS_UNKNOWN: "log in with `gcloud auth application-default login`",
        Cause.CREDENTIALS_WRONG: "log in again with `gcloud auth application-default login`",
        Cause.CREDENTIALS_EXPIRED: "log in again with `gcloud auth application-default login`",
        Cause.NO_PLACE: "make it with `gcloud storage buckets create gs://{bucket}`, or correct its name with"
        " `vstore remote set {name} url URL`",
        Cause.DENIED: "have {permission} allowed to who you are there: `gcloud auth list` tells",
    },
    "az": {
        Cause.TLS_TO_PLAIN: "if nobody may listen on the way, name a plain address in the connection string:"
        " `vstore remote set {name} connection_string STRING`",
        Cause.PLAIN_TO_TLS: "name an https address in the connection string:"
        " `vstore remote set {name} connection_string STRING`",
        Cause.CREDENTIALS_MISSING: "log in with `az login`, or give a key with"
        " `vstore remote set {name} account_key KEY`; public data needs `vstore remote set {name} anon true`",
        Cause.CREDENTIALS_UNKNOWN: "log in again with `az login`",
        Cause.CREDENTIALS_WRONG: "give the key anew with `vstore remote set {name} account_key KEY`, or log in with"
        " `az login`",
        Cause.CREDENTIALS_EXPIRED: "log in again with `az login`, or give a new token with"
        " `vstore remote set {name} sas_token TOKEN`",
        Cause.NO_PLACE: "make it with `az storage container create --name {bucket}`, or correct its name with"
        " `vstore remote set {name} url URL`",
        Cause.DENIED: "have {permission} given to you; see your roles with `az role assignment list`",
    },
    "ssh": {
        Cause.HOST_KEY: "if its owner says that this is its key, make it known with `ssh {host}`",
        Cause.CREDENTIALS_MISSING: "name a key with `vstore remote set {name} key_filename FILE`",
        Cause.CREDENTIALS_WRONG: "see what the host says to `ssh {host}`; another key is named with"
        " `vstore remote set {name} key_filename FILE`",
        Cause.DENIED: "see who may use it with `ls -ld` on the host",
    },
    "hdfs": {
        Cause.CREDENTIALS_MISSING: "log in with `kinit`",
        Cause.CREDENTIALS_EXPIRED: "log in again with `kinit`",
        Cause.NO_PLACE: "make it with `hdfs dfs -mkdir -p {url}`, or correct its name with"
        " `vstore remote set {name} url URL`",
        Cause.DENIED: "see who may use it with `hdfs dfs -ls -d {url}`",
    },
    "http": {
        Cause.TLS_UNTRUSTED: "if it is the right server, trust its authority with"
        " `vstore remote set {name} ca_bundle FILE`",
        Cause.CREDENTIALS_MISSING: "say who you are with `vstore remote set {name} user USER` and password",
        Cause.CREDENTIALS_WRONG: "give user and password anew, with `vstore remote set {name} user USER` and password",
    },
    "directory": {
        Cause.NO_PLACE: "see whether its disk is mounted with `df`; what was moved is named by"
        " `vstore remote set {name} url PATH`",
        Cause.DENIED: "see who may use it with `ls -ld {url}`",
    },
}
PERMISSIONS: Mapping[str, Mapping[str, str]] = {
    "s3": {
        "list": "s3:ListBucket for the bucket",
        "look": "s3:GetObject for its objects",
        "read": "s3:GetObject for its objects",
        "write": "s3:PutObject for its objects",
        "delete": "s3:DeleteObject for its objects",
    },
    "gs": {
        "list": "storage.objects.list",
        "look": "storage.objects.get",
        "read": "storage.objects.get",
        "write": "storage.objects.create and storage.objects.delete (which overwriting needs)",
        "delete": "storage.objects.delete",
    },
    "az": {
        "list": "the role Storage Blob Data Reader (with a SAS: l)",
        "look": "the role Storage Blob Data Reader (with a SAS: r)",
        "read": "the role Storage Blob Data Reader (with a SAS: r)",
        "write": "the role Storage Blob Data Contributor (with a SAS: c and w)",
        "delete": "the role Storage Blob Data Contributor (with a SAS: d)",
    },
}
"""By kind of store and action: what has to be allowed."""

_AT_SOURCE_AGAIN = "look at the URL; if it is right, run the same command again"
_AT_SOURCE = (
    "look at the URL; options and credentials are those of a remote: `vstore remote add NAME URL`, then import"
    " remote://NAME/PATH"
)
"""Of what is imported by a URL of its own."""

_OPTIONS = {"s3": "endpoint_url", "gs": "endpoint_url"}
"""Which option holds the address of a server; elsewhere it is part of the URL."""


def consequence_of(failed: Iterable[str]) -> str:
    """Return what cannot be done at a remote where some actions of its check fail; empty if none do."""
    actions = set(failed)
    if actions == {"delete"}:
        return "push, fetch and pull work, but small files that announce pushes stay, and nothing is ever collected"
    if actions and actions <= {"write", "delete"}:
        return "fetch and pull work, but push does not"
    return "neither push nor fetch can be relied upon" if actions else ""


def hint_for_remote(fields: Mapping[str, Any]) -> str | None:
    """Return what to do about a remote, by the fields of an error; None where nobody knows more than it says."""
    if fields.get("locked"):
        return "unlock the key for this session with `ssh-add`"
    if fields.get("login"):
        return f"see what the host says to `{_ssh(fields['login'], fields)}`"
    try:
        cause = Cause(fields.get("cause", ""))
    except ValueError:
        return None if "checked" in fields else "see what is wrong with `vstore remote check`"
    url = str(fields.get("url") or "")
    name = str(fields.get("remote") or "NAME")
    scheme, is_store, rest = url.partition("://")
    store = _STORES.get(scheme, "") if is_store else "directory"
    if cause is Cause.READ_ONLY and fields.get("configured"):
        return f"if it may be written to after all, `vstore remote set {name} read_only false`"
    if cause is Cause.BROKEN and "checked" in fields:
        return "run the same command again later, or over another line"
    place = rest.partition("/")[0]
    action = str(fields.get("action") or "").partition(" ")[0]
    permissions = PERMISSIONS.get(store, {})
    template = _AT_STORE.get(store, {}).get(cause, _HINTS[cause])
    if fields.get("imported") and "`vstore remote" in template:
        return _AT_SOURCE_AGAIN if cause.is_passing else _AT_SOURCE
    return template.format(
        name=name,
        url=shlex.quote(url),
        option=_OPTIONS.get(store, "url"),
        address=fields.get("address") or "HOST:PORT",
        host=re.sub(r":\d+$", "", place) or "HOST",
        bucket=place.partition("@")[0],
        region=fields.get("region") or "REGION",
        action=action or "do that",
        permission=permissions.get(action, "all that is needed"),
    )


def hint_for_host_key(fields: Mapping[str, Any]) -> str | None:
    """Return what to do about a host that shows another key than it should."""
    if "host" not in fields:
        return None
    if not fields.get("changed"):
        return f"if its owner says that this is its key, make it known with `{_ssh(fields['host'], fields)}`"
    name = shlex.quote(fields["name"])
    return f"if its owner says that the key was changed, forget the old one with `ssh-keygen -R {name}`"


def _ssh(where: str, fields: Mapping[str, Any]) -> str:
    port = f"-p {fields['port']} " if fields.get("port") else ""
    return f"ssh {port}{shlex.quote(where)}"


_MOST_KEYS = 5
_SIGHT = {
    "no-git": "collect from a clone of the project that git keeps; with --no-git nobody can tell what others need",
    "shallow": "fetch the whole history with `git fetch --unshallow`",
    "single-branch": "let git follow all branches with `git remote set-branches{remote} '*'`",
    "unfetchable": "see what git itself says with `git ls-remote{remote}`; if it is gone, `git remote remove{remote}`",
}


def hint_for_needs(fields: Mapping[str, Any]) -> str | None:
    """Return what to do where a collection does not know what is needed."""
    if fields.get("refusal"):
        remote = fields.get("git_remote")
        return _SIGHT[fields["refusal"]].format(remote=f" {quote(remote)}" if remote else "")
    if fields.get("worktrees"):
        return "where worktrees are gone for good, let git know with `git worktree prune`"
    remote = f" --remote {quote(fields['remote'])}" if "remote" in fields else ""
    verb = fields.get("verb", "collect")
    command = f"vstore gc{remote}" + ("" if verb == "collect" else f" --{verb}")
    if fields.get("repositories"):
        known = quote(fields["repositories"][0])
        return f"bring it back, or do without its needs: `{command} --forget-repo {known}`"
    if fields.get("missing"):
        return f"see to it that somebody who has it pushes it, or do without: `{command} --forget-missing`"
    keys = fields.get("keys") or [""]
    what = "it" if len(keys) == 1 else "each of them"
    given_up = "".join(f" --forget {quote(key)}" for key in keys[:_MOST_KEYS])
    others = ", and so on" if len(keys) > _MOST_KEYS else ""
    return f"see to it that {what} can be read, or do without: `{command}{given_up}`{others}"


def hint_for_repair(fields: Mapping[str, Any]) -> str:
    """Return what mends what a verification found, of all that it was asked to verify."""
    asked = "".join(f" {word}" for word in fields.get("asked", ()))
    if fields["remote"] is None:
        if fields["repair"]:
            return "where the data was added, `vstore push` shares it; then run this again"
        return f"mend what can be mended with `vstore fsck{asked} --repair`"
    command = f"`vstore fsck --remote {quote(fields['remote'])}{asked} --repair`"
    if fields["repair"]:
        return f"where the data was added, run {command}; or take it from a copy of the remote"
    return f"mend what can be mended with {command}"


def hint_for_retired(fields: Mapping[str, Any]) -> str | None:
    """Return what to do where something is not among what was retired, or what is to be forgotten not there."""
    if fields.get("near_keys"):
        first, *others = map(quote, fields["near_keys"])
        more = f"; or {', '.join(others)}" if others else ""
        return f"perhaps what is meant is in `--forget {first}`{more}"
    if "retired" not in fields:
        return None
    return f"see what can be brought back with `vstore gc --remote {quote(fields['remote'])} --status`"


ENGINE_HINTS = {
    "unreachable": "see whether its scheduler runs there: `dask scheduler` says its address when it begins",
    "no-workers": "start some with `dask worker {scheduler}`, then run the same command again",
    "died": "see what its workers said last, then run the same command again, which goes on from what was done",
    "version": "install the same version where the workers run, with `pip install 'vstore[dask]'`",
    "not-shared": "let the cache be where all workers see it, with `vstore config set cache.dir DIR`",
}


def hint_for_source(fields: Mapping[str, Any]) -> str:
    """Return the command in which git itself says what is wrong with the URL of a repository."""
    return f"see what git itself says with `git ls-remote {quote(fields.get('url') or 'URL')}`"


def hint_for_awaited(fields: Mapping[str, Any]) -> str:
    """Return how to get the data of an import that was not downloaded yet, here or in another repository."""
    if fields.get("repo"):
        return f"get it from where it is: `vstore import-url {quote(fields['url'])}`"
    path = fields.get("path", "PATH").removesuffix(".vstore")
    return f"download it with `vstore update {quote(path)}`"


def hint_for_engine(fields: dict[str, Any]) -> str | None:
    """Return what to do about a cluster."""
    hint = ENGINE_HINTS.get(str(fields.get("reason")))
    return hint and hint.format(scheduler=fields.get("scheduler"))
