"""A WebHDFS over a local folder: the requests and answers of a real one, also its two steps for data."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.servers.background import serving
from tests.servers.place import Place, new_name
from tests.servers.running import HOST, ServerMissingError
from tests.servers.sftp import plant_file

USERNAME, READER = "tester", "mallory"
_PREFIX = "/webhdfs/v1"
_BLOCK_BYTES = 128 * 1024 * 1024
_STATUS = {
    "AccessControlException": 403,
    "FileAlreadyExistsException": 403,
    "FileNotFoundException": 404,
    "IllegalArgumentException": 400,
    "PathIsNotEmptyDirectoryException": 403,
    "UnsupportedOperationException": 400,
}


@dataclass(frozen=True, slots=True)
class WebHdfsServer:
    """A WebHDFS in this process.  The user READER may only read."""

    label: str
    port: int
    folder: str
    username: str = USERNAME

    def new_place(self, *, port: int | None = None) -> Place:
        """Make an empty folder; ``port`` is that of a proxy by which the test is to reach it."""
        name = new_name()
        folder = Path(self.folder, name)
        folder.mkdir()
        url = f"webhdfs://{HOST}:{port or self.port}/{name}"
        return Place(url, {"user": self.username}, lambda name, data: plant_file(folder, name, data))


@contextlib.contextmanager
def running_webhdfs(folder: Path, *, can_replace: bool = True) -> Iterator[WebHdfsServer]:
    """Yield a server in a thread.  Raises ServerMissingError where aiohttp is not installed.

    One that cannot replace a file by renaming is as the gateway HttpFS: it passes over the option that asks for it.
    """
    try:
        web = importlib.import_module("aiohttp.web")
    except ImportError as error:
        raise ServerMissingError("aiohttp", lost="webhdfs://", how="pip install 'vstore[test]'") from error

    async def answer(request: Any) -> Any:
        try:
            return await _Answer(web, folder, request, can_replace).find()
        except _RefusedError as error:
            body = {"exception": error.kind, "javaClassName": f"java.io.{error.kind}", "message": str(error)}
            return web.json_response({"RemoteException": body}, status=_STATUS[error.kind])

    app = web.Application(client_max_size=2**34)
    app.router.add_route("*", _PREFIX + "{path:.*}", answer)
    with serving(app) as port:
        yield WebHdfsServer("our stand-in for WebHDFS (fake)", port, str(folder))


class _RefusedError(Exception):
    """An answer with an error, by the name that Java has for it."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _Answer:
    """The answer to one request."""

    def __init__(self, web: Any, root: Path, request: Any, can_replace: bool) -> None:
        self._web = web
        self._can_replace = can_replace
        self._request = request
        self._query: dict[str, str] = dict(request.query)
        self._name = unquote(request.raw_path.partition("?")[0]).removeprefix(_PREFIX) or "/"
        self._root = root
        self._path = self._local(self._name)

    async def find(self) -> Any:
        method, operation = self._request.method, self._query.get("op", "").upper()
        if method != "GET" and self._query.get("user.name") == READER:
            message = f'Permission denied: user={READER}, access=WRITE, inode="{self._name}"'
            raise _RefusedError("AccessControlException", message)
        body = await self._request.read()
        answers: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", "LISTSTATUS"): self._list,
            ("GET", "GETFILESTATUS"): lambda: self._json({"FileStatus": _status(self._existing(), "")}),
            ("GET", "GETHOMEDIRECTORY"): lambda: self._json({"Path": f"/user/{USERNAME}"}),
            ("GET", "OPEN"): self._open,
            ("PUT", "MKDIRS"): self._make_folder,
            ("PUT", "RENAME"): self._rename,
            ("PUT", "CREATE"): lambda: self._create(body),
            ("POST", "APPEND"): lambda: self._append(body),
            ("DELETE", "DELETE"): self._delete,
        }
        if (method, operation) not in answers:
            raise _RefusedError("UnsupportedOperationException", f"{method} {operation}")
        try:
            return answers[method, operation]()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _RefusedError("FileNotFoundException", f"File does not exist: {self._name}") from error

    def _json(self, value: Any) -> Any:
        return self._web.json_response(value)

    def _local(self, name: str) -> Path:
        return Path(os.path.normpath(f"{self._root}/{name}"))

    def _existing(self) -> Path:
        if not os.path.lexists(self._path):
            raise FileNotFoundError
        return self._path

    def _is_first_step(self) -> bool:
        return "datanode" not in self._query

    def _send_on(self) -> Any:
        """Tell the client to ask the datanode, which is this server again."""
        where = f"http://{self._request.host}{self._request.raw_path}&datanode=true"
        return self._web.Response(status=307, headers={"Location": where})

    def _list(self) -> Any:
        path = self._existing()
        if path.is_dir():
            found = [_status(path / name, name) for name in sorted(os.listdir(path))]
        else:
            found = [_status(path, "")]
        return self._json({"FileStatuses": {"FileStatus": found}})

    def _open(self) -> Any:
        path = self._existing()
        if path.is_dir():
            raise _RefusedError("FileNotFoundException", f"Path is not a file: {self._name}")
        if self._is_first_step():
            return self._send_on()
        data = path.read_bytes()
        start = int(self._query.get("offset", 0))
        if start > len(data):
            raise _RefusedError("IllegalArgumentException", f"Offset={start} out of the range [0, {len(data)}]")
        end = start + int(self._query["length"]) if "length" in self._query else len(data)
        return self._web.Response(body=data[start:end], content_type="application/octet-stream")

    def _make_folder(self) -> Any:
        try:
            self._path.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise _RefusedError("FileAlreadyExistsException", f"Path is not a directory: {self._name}") from error
        return self._json({"boolean": True})

    def _rename(self) -> Any:
        target = self._local(self._query["destination"])
        if "renameoptions" in self._query and self._can_replace:
            if target.exists() and self._query["renameoptions"] != "OVERWRITE":
                raise _RefusedError("FileAlreadyExistsException", f"rename destination {target.name} already exists")
            os.replace(self._path, target)
            return self._web.Response()
        if target.is_dir():
            target = target / self._path.name
        is_possible = self._path.exists() and not target.exists() and target.parent.is_dir()
        if is_possible:
            self._path.rename(target)
        return self._json({"boolean": is_possible})

    def _create(self, body: bytes) -> Any:
        if self._is_first_step():
            return self._send_on()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._path.open("wb" if self._query.get("overwrite") == "true" else "xb") as file:
                file.write(body)
        except (FileExistsError, IsADirectoryError) as error:
            raise _RefusedError("FileAlreadyExistsException", f"{self._name} already exists") from error
        return self._web.Response(status=201)

    def _append(self, body: bytes) -> Any:
        path = self._existing()
        if self._is_first_step():
            return self._send_on()
        with path.open("ab") as file:
            file.write(body)
        return self._web.Response()

    def _delete(self) -> Any:
        if not self._path.exists():
            return self._json({"boolean": False})
        if not self._path.is_dir():
            self._path.unlink()
        elif self._query.get("recursive") == "true" or not os.listdir(self._path):
            shutil.rmtree(self._path)
        else:
            raise _RefusedError("PathIsNotEmptyDirectoryException", f"{self._name} is non empty")
        return self._json({"boolean": True})


def _status(path: Path, name: str) -> dict[str, Any]:
    facts = path.stat()
    is_folder = path.is_dir()
    return {
        "accessTime": int(facts.st_atime * 1000),
        "blockSize": 0 if is_folder else _BLOCK_BYTES,
        "childrenNum": len(os.listdir(path)) if is_folder else 0,
        "fileId": facts.st_ino,
        "group": "supergroup",
        "length": 0 if is_folder else facts.st_size,
        "modificationTime": int(facts.st_mtime * 1000),
        "owner": USERNAME,
        "pathSuffix": name,
        "permission": "755" if is_folder else "644",
        "replication": 0 if is_folder else 1,
        "storagePolicy": 0,
        "type": "DIRECTORY" if is_folder else "FILE",
    }
