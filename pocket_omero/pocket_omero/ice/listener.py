# SPDX-License-Identifier: GPL-2.0-or-later
"""The Ice runtime of a server: its settings, its endpoint with TLS, its log."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import Ice
import omero.all
import omero.columns
import omero.ObjectFactoryRegistrar as ModelFactories

from pocket_omero.ice.certificates import PASSWORD

__all__ = ["Listener"]

log = logging.getLogger(__name__)

_SETTINGS = {
    "Ice.Plugin.IceSSL": "IceSSL:createIceSSL",
    "IceSSL.VerifyPeer": "0",  # clients show no certificates
    "IceSSL.Protocols": "TLS1_2,TLS1_3",
    "IceSSL.ProtocolVersionMin": "TLS1_2",
    "IceSSL.ProtocolVersionMax": "TLS1_3",
    "Ice.MessageSizeMax": "250000",  # KB, as OMERO's clients have it
    "Ice.CacheMessageBuffers": "0",
    "Ice.ThreadPool.Server.Size": "4",
    "Ice.ThreadPool.Server.SizeMax": "64",
    "Ice.ThreadPool.Server.SizeWarn": "0",
    "Ice.Warn.Dispatch": "0",
    "Ice.Warn.Connections": "0",
    # Idle clients stay connected: their session's time decides. Heartbeats find those that are gone.
    "Ice.ACM.Server.Timeout": "60",
    "Ice.ACM.Server.Close": "0",
    "Ice.ACM.Server.Heartbeat": "3",
}


class Listener:
    """Listens, from the moment it is made, and hands each call to the servant that `locator` finds.

    Parameters
    ----------
    host
        The address to listen at.
    port
        0: one that is free.
    certificate
        A PKCS#12 file from `pocket_omero.ice.certificates`.
    locator
        An Ice.ServantLocator.
    settings
        More properties of Ice, or other values.

    Raises
    ------
    OSError
        The port is taken, or the host is none of this computer.
    """

    def __init__(
        self,
        host: str,
        port: int,
        certificate: Path,
        locator: Any,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        data = Ice.InitializationData()
        data.properties = Ice.createProperties()
        tls = {"IceSSL.CertFile": str(certificate), "IceSSL.Password": PASSWORD}
        for name, value in {**_SETTINGS, **tls, **(settings or {})}.items():
            data.properties.setProperty(name, value)
        data.logger = _Log()
        self._runtime = Ice.initialize(data)
        try:
            for factories in (omero.rtypes.ObjectFactories, omero.columns.ObjectFactories):
                for factory in factories.values():
                    factory.register(self._runtime)
            ModelFactories.registerObjectFactory(self._runtime, None)
            endpoint = f"ssl -h {host} -p {port}"
            self._adapter = self._runtime.createObjectAdapterWithEndpoints("pocket-omero", endpoint)
            self._adapter.addServantLocator(locator, "")
            self._adapter.activate()
        except Ice.SocketException as error:
            self._runtime.destroy()
            raise OSError(error.error, f"cannot listen at {host}:{port}") from None
        except BaseException:
            self._runtime.destroy()
            raise
        self.port: int = self._adapter.getEndpoints()[0].getInfo().port

    def close(self) -> None:
        """Answer what is being answered, cut all connections, and stop. Safe to repeat."""
        self._runtime.destroy()


class _Log(Ice.Logger):
    """Takes what the Ice runtime says to Python's log."""

    def print(self, message: str) -> None:
        log.info(message)

    def trace(self, category: str, message: str) -> None:
        log.debug("%s: %s", category, message)

    def warning(self, message: str) -> None:
        log.warning(message)

    def error(self, message: str) -> None:
        log.error(message)

    def getPrefix(self) -> str:
        return ""

    def cloneWithPrefix(self, _prefix: str) -> "_Log":
        return self
