"""A TCP network simulated over loopback: named hosts, predictable ports, shared by any number of
processes, of this language or another.

Start with :func:`join`. A map of the modules, in reading order:

- ``subnetwork``, ``host``, ``listener``, ``connection``: what users hold;
- ``streams``: the asyncio face;
- ``virtnet``, ``ports``, ``lock``: hosts, ports and their rules, free of sockets;
- ``loopback``, ``acceptor``, ``dialing``, ``handshake``, ``peer_uid``: the network over TCP;
- ``registry``: host name → OS address, across processes;
- ``trace``: what happens, told to a test;
- ``addr``, ``quote``, ``errors``: names, texts and what can go wrong.
"""

from .addr import Addr, check_name, parse_port
from .connection import Connection
from .errors import (
    AddrInUse,
    AddrNotAvailable,
    BrokenPipe,
    ConnectionRefused,
    ConnectionReset,
    DirectoryError,
    Error,
    HostDown,
    HostExists,
    InvalidAddr,
    InvalidName,
    NetworkDown,
    NoSuchHost,
    PortsExhausted,
    ProtocolError,
    RegistryError,
    SocketDown,
    SystemFailure,
    TimedOut,
)
from .host import Host
from .listener import Listener
from .subnetwork import SubNetwork, from_env, join

__all__ = [
    "Addr",
    "AddrInUse",
    "AddrNotAvailable",
    "BrokenPipe",
    "Connection",
    "ConnectionRefused",
    "ConnectionReset",
    "DirectoryError",
    "Error",
    "Host",
    "HostDown",
    "HostExists",
    "InvalidAddr",
    "InvalidName",
    "Listener",
    "NetworkDown",
    "NoSuchHost",
    "PortsExhausted",
    "ProtocolError",
    "RegistryError",
    "SocketDown",
    "SubNetwork",
    "SystemFailure",
    "TimedOut",
    "check_name",
    "from_env",
    "join",
    "parse_port",
]
