"""Azurite: Microsoft's own emulator of Azure Blob Storage."""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import Any

from tests.servers.place import Place, new_name
from tests.servers.running import HOST, Starting, free_ports, get_programs

ACCOUNT = "devstoreaccount1"
# Published by Microsoft: every Azurite has it.
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True, slots=True)
class AzureServer:
    """An Azure Blob Storage with one account."""

    label: str
    port: int
    account: str
    account_key: str

    def connection_string(self, port: int | None = None) -> str:
        """Return what Azure's clients take; ``port`` is that of a proxy."""
        endpoint = f"http://{HOST}:{port or self.port}/{self.account}"
        return (
            f"DefaultEndpointsProtocol=http;AccountName={self.account};AccountKey={self.account_key};"
            f"BlobEndpoint={endpoint};"
        )

    def new_place(self, *, port: int | None = None) -> Place:
        """Make an empty container; ``port`` is that of a proxy by which the test is to reach it."""
        container = new_name()
        self.make_container(container)
        options = {"connection_string": self.connection_string(port)}
        return Place(f"az://{container}", options, functools.partial(self._plant, container))

    def make_container(self, name: str) -> None:
        """Make an empty container of a certain name."""
        _make_client(self.connection_string()).create_container(name)

    def _plant(self, container: str, name: str, data: bytes) -> None:
        client = _make_client(self.connection_string()).get_blob_client(container, name)
        client.upload_blob(data, overwrite=True)


@functools.cache
def _make_client(connection_string: str) -> Any:
    return importlib.import_module("azure.storage.blob").BlobServiceClient.from_connection_string(connection_string)


def start_azurite(starting: Starting) -> AzureServer:
    """Start Azurite, which keeps everything in memory."""
    how = "npm install -g azurite@3.35.0"
    [program] = get_programs("Azurite", "azurite-blob", lost="Azure Blob Storage", how=how)
    version = starting.run(program, "--version").strip()
    [port] = free_ports(1)
    options = ("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent")
    daemon = starting.start("azurite", program, "--blobHost", HOST, "--blobPort", str(port), *options)
    daemon.wait_for_port(port)
    return AzureServer(f"Azurite {version} (emulator)", port, ACCOUNT, ACCOUNT_KEY)
