"""What users hold of a subnetwork, and how they come by one."""

from __future__ import annotations

import os
from typing import Optional

from .errors import InvalidName
from .host import Host
from .lock import STATE, lock_of_the_process
from .loopback import LoopbackNet
from .virtnet import Keeper


class SubNetwork:
    """This process's part of a network.

    A cheap handle. It closes with :meth:`close`, or when the last handle of it (a ``SubNetwork``,
    ``Host``, ``Listener`` or connection) is gone, or when the program ends.
    """

    def __init__(self, net: LoopbackNet, keeper: Keeper) -> None:
        self._net = net
        self._keeper = keeper

    @property
    def network(self) -> str:
        """The network's full name, for instance ``lonetx``."""
        return self._net.network

    @property
    def name(self) -> str:
        """The network's name, for instance ``x``: what :func:`join` takes."""
        return self._net.name

    def new_host(self, name: str) -> Host:
        """Brings up a host of that name, unique in the whole network, across processes.

        Raises :class:`lonet.HostExists` if a living host has the name, :class:`lonet.InvalidName`,
        :class:`lonet.NetworkDown`, :class:`lonet.RegistryError`.
        """
        return Host(self._net, self._net.add_host(name), self._keeper)

    def host(self, name: str) -> Optional[Host]:
        """This subnetwork's own host of that name, if there is one."""
        with STATE:
            state = self._net.hosts.get(name)
        return None if state is None else Host(self._net, state, self._keeper)

    def close(self) -> None:
        """Closes every host of this subnetwork and leaves the network. Closing twice is no
        error."""
        self._net.close()

    def auto_close(self) -> None:
        """From now on the subnetwork closes when its last host does; at once if it has none."""
        self._net.set_auto_close()

    def __enter__(self) -> SubNetwork:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<lonet.SubNetwork {self.network}{' closed' if self._net.closed else ''}>"


def join(name: str) -> SubNetwork:
    """Joins or creates the network of that name, which any processes of this user on this machine
    share; ``join("")`` makes a fresh one with a random unique name.

    Raises :class:`lonet.InvalidName`, :class:`lonet.DirectoryError` when the network's directory is
    not to be trusted, :class:`lonet.RegistryError`.
    """
    net = LoopbackNet.join(name)
    return SubNetwork(net, Keeper(net, net.close))


_of_env: Optional[tuple[int, str, str, Host]] = None
_finding = lock_of_the_process()


def from_env() -> Host:
    """The host that this process was started to play: ``LONET_HOST`` on the network
    ``LONET_NETWORK``. The same host when called again.

    Raises as :func:`join` and :meth:`SubNetwork.new_host` do, and :class:`lonet.InvalidName` when a
    variable is missing.
    """
    global _of_env
    with _finding:
        network, name = _variable("LONET_NETWORK"), _variable("LONET_HOST")
        if _of_env is not None:
            *whose, host = _of_env
            if whose == [os.getpid(), network, name] and not host._state.closed:
                return host
        subnetwork = join(network)
        try:
            host = subnetwork.new_host(name)
        except BaseException:
            subnetwork.close()
            raise
        _of_env = (os.getpid(), network, name, host)
        return host


def _variable(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        why = f"the environment variable {variable} is not set to a name"
        raise InvalidName(why)._of("join", "lonet")
    return value
