"""The background thread of a subnetwork: takes TCP connections, reads their request lines, and
puts who may come in before the listener that was asked for.

Owns the OS listener and every connection that no ``accept`` has taken yet: one that has not asked
in time, belongs to another user, asks for something illegal, or hangs up, is dropped here. The
reply that makes a connection is written by the thread that accepts.
"""

from __future__ import annotations

import errno
import random
import select
import socket
import threading
import time
from collections import deque
from typing import Callable, Optional

from .addr import Addr
from .handshake import (
    CONNECTION_REFUSED,
    INVALID_REQUEST,
    MAX_LINE,
    Refusal,
    Request,
    parse_request,
    reply_connected,
    reply_error,
)
from .lock import STATE
from .peer_uid import Owner, PeerCheck, SocketAddr
from .virtnet import ListenerState, Net

#: How long a peer may take to send its request line, in seconds.
REQUEST_DEADLINE = 5.0
#: So many peers may be about to send one; a further one drops the oldest.
MAX_PENDING = 256
#: How long to take no connection when descriptors or memory have run out, in seconds.
BACKOFF = 0.05
#: So many connections are taken before others get their turn.
_BATCH = 64

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def socket_addr_text(addr: SocketAddr) -> str:
    """An OS address as the registry and connection keys have it."""
    return f"{addr[0]}:{addr[1]}"


class LineReader:
    """Reads one line from a socket, and not a byte more: what follows is the user's."""

    def __init__(self) -> None:
        self._line = b""

    def read(self, sock: socket.socket) -> bytes:
        """The line once it is complete, newline included; one that is too long comes as far as it
        was read, without. Raises ``BlockingIOError`` while there is nothing to read, and
        ``EOFError`` when there won't be."""
        while True:
            ahead = sock.recv(MAX_LINE - len(self._line), socket.MSG_PEEK)
            if not ahead:
                raise EOFError
            newline = ahead.find(b"\n")
            self._line += sock.recv(newline + 1 if newline >= 0 else len(ahead))
            if newline >= 0 or len(self._line) >= MAX_LINE:
                return self._line


class _Pending:
    """A peer that has not sent its request line yet."""

    def __init__(self, sock: socket.socket, peer: SocketAddr, key: str) -> None:
        self.sock = sock
        self.peer = peer
        self.key = key
        self.reader = LineReader()
        self.deadline = time.monotonic() + REQUEST_DEADLINE


class Caller:
    """A dialer that waits at a listener."""

    def __init__(self, acceptor: Acceptor, sock: socket.socket, request: Request, key: str) -> None:
        self._acceptor = acceptor
        self.sock = sock
        self.src = request.src
        self.key = key

    def hung_up(self) -> bool:
        """Whether it has given up meanwhile."""
        # Nobody may half-close before the reply, so the end of its direction is the end of it.
        poll = select.poll()
        poll.register(self.sock, select.POLLRDHUP)
        return bool(poll.poll(0))

    def take(self) -> None:
        """It is about to be accepted: nobody else watches it from here on."""
        self._acceptor.unwatch(self)

    def answer(self, addr: Addr) -> socket.socket:
        """Tells it that it is connected; the connection's socket."""
        try:
            line = reply_connected(self._acceptor.net.network, addr)
            self.sock.send(line, socket.MSG_NOSIGNAL)
        except OSError:
            pass  # It hung up: to who accepted it, a connection that ends at once.
        return self.sock

    def refuse(self, text: str = CONNECTION_REFUSED) -> None:
        """Tells it that nobody will accept it."""
        self._acceptor.unwatch(self)
        _answer_and_close(self.sock, self._acceptor.net.network, text)


class Acceptor:
    """The background thread of one subnetwork, and its OS listener."""

    def __init__(self) -> None:
        self._listener = _listen_somewhere()
        self._listener.setblocking(False)
        #: Where this subnetwork's hosts are reached.
        self.address: SocketAddr = self._listener.getsockname()
        self._peers = PeerCheck()
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._epoll.register(self._woken, select.EPOLLIN)
        self._jobs: deque[Callable[[], None]] = deque()
        self._pending: dict[int, _Pending] = {}
        #: Dialers at listeners, with the listener; changed under the lock.
        self._callers: dict[int, tuple[Caller, ListenerState]] = {}
        self._resume_at: Optional[float] = None
        self._stopping = False
        self._thread: Optional[threading.Thread] = None
        self.net: Net

    def start(self, net: Net) -> None:
        """Begins to serve this subnetwork."""
        self.net = net
        self._thread = threading.Thread(target=self._run, name="lonet-accept", daemon=True)
        self._thread.start()

    def later(self, job: Callable[[], None]) -> None:
        """Has the thread do something. Waits for nothing."""
        self._jobs.append(job)
        try:
            self._wake.send(b"!")
        except OSError:
            pass  # It is awake already, or has ended and will see the job as it does.

    def stop(self) -> None:
        """Takes no more connections; returns when the thread has ended."""
        self.later(self._stop)
        thread = self._thread
        if thread is None:
            self._release()
        elif thread is not threading.current_thread():
            thread.join()

    def forget(self) -> None:
        """Closes what a fork has inherited. The thread was not."""
        self._stopping = True
        self._peers.forget()
        self._release()

    def is_current(self) -> bool:
        """Whether it is the background thread that calls."""
        return self._thread is threading.current_thread()

    def is_stranger(self, local: SocketAddr, peer: SocketAddr) -> bool:
        """Whether who answered at ``peer`` is another user's process. The kernel tells as long as
        the connection is open at both ends; of one that has ended already, the listener must do."""
        owner = self._peers.owner(local, peer)
        if owner is Owner.UNKNOWN:
            owner = self._peers.listener(peer)
        return owner is Owner.STRANGER

    def unwatch(self, caller: Caller) -> None:
        """The dialer is no longer at its listener."""
        if self._callers.pop(caller.sock.fileno(), None) is not None:
            try:
                self._epoll.unregister(caller.sock)
            except (OSError, ValueError):
                pass  # The thread has ended, and the epoll with it.

    # What follows runs in the thread.

    def _stop(self) -> None:
        self._stopping = True

    def _run(self) -> None:
        try:
            while not self._stopping:
                for fd, _ in self._epoll.poll(self._patience()):
                    self._serve(fd)
                self._expire()
                self._do_jobs()
        finally:
            self._release()
            self._do_jobs()

    def _release(self) -> None:
        for sock in (self._listener, self._woken, self._wake):
            sock.close()
        for pending in self._pending.values():
            pending.sock.close()
        self._pending.clear()
        self._epoll.close()
        self._peers.close()

    def _do_jobs(self) -> None:
        while self._jobs:
            self._jobs.popleft()()

    def _patience(self) -> Optional[float]:
        """How long nothing can become due, in seconds; ``None``: for ever."""
        due = [self._resume_at] if self._resume_at is not None else []
        # Insertion order is that of deadlines.
        due += [pending.deadline for pending in list(self._pending.values())[:1]]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _serve(self, fd: int) -> None:
        if fd == self._listener.fileno():
            self._accept()
        elif fd == self._woken.fileno():
            try:
                self._woken.recv(4096)
            except BlockingIOError:
                pass
        elif fd in self._pending:
            self._read_request(fd)
        else:
            self._check_caller(fd)

    def _accept(self) -> None:
        for _ in range(_BATCH):
            try:
                sock, peer = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._back_off()
                    return
                continue  # That one connection was gone before it was taken.
            key = self._key(peer)
            try:
                self._admit(sock, peer, key)
            except OSError:
                sock.close()  # It is broken, or there is no memory to watch it.

    def _admit(self, sock: socket.socket, peer: SocketAddr, key: str) -> None:
        """Waits for a peer's request, if it may come in."""
        # Before a byte is read: only processes of this user, or of root, get in.
        if not self._peers.allows(self.address, peer):
            sock.close()
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self._pending) >= MAX_PENDING:
            self._drop(next(iter(self._pending)))
        fd = sock.fileno()
        self._epoll.register(fd, select.EPOLLIN)
        self._pending[fd] = _Pending(sock, peer, key)
        self._read_request(fd)

    def _key(self, peer: SocketAddr) -> str:
        reporter = self.net.reporter
        if reporter is None:
            return ""
        with STATE:
            return reporter.accepted(socket_addr_text(peer), socket_addr_text(self.address))

    def _back_off(self) -> None:
        self._epoll.modify(self._listener, 0)
        self._resume_at = time.monotonic() + BACKOFF

    def _expire(self) -> None:
        now = time.monotonic()
        if self._resume_at is not None and self._resume_at <= now:
            self._resume_at = None
            self._epoll.modify(self._listener, select.EPOLLIN)
        while self._pending:
            fd, oldest = next(iter(self._pending.items()))
            if oldest.deadline > now:
                return
            self._drop(fd)

    def _drop(self, fd: int) -> None:
        self._forget_pending(fd).sock.close()

    def _forget_pending(self, fd: int) -> _Pending:
        pending = self._pending.pop(fd)
        self._epoll.unregister(fd)
        return pending

    def _read_request(self, fd: int) -> None:
        pending = self._pending[fd]
        try:
            line = pending.reader.read(pending.sock)
        except BlockingIOError:
            return
        except (OSError, EOFError):
            self._drop(fd)
            return
        self._forget_pending(fd)
        try:
            if not line.endswith(b"\n"):
                raise Refusal(INVALID_REQUEST)
            self._bring_to_listener(pending, parse_request(line, self.net.network))
        except Refusal as refusal:
            _answer_and_close(pending.sock, self.net.network, refusal.text)

    def _bring_to_listener(self, pending: _Pending, request: Request) -> None:
        with STATE:
            host = self.net.hosts.get(request.dst.host)
            listener = host.listeners.get(request.dst.port) if host is not None else None
            if listener is None:
                raise Refusal(CONNECTION_REFUSED)
            caller = Caller(self, pending.sock, request, pending.key)
            self._callers[pending.sock.fileno()] = caller, listener
            self._epoll.register(pending.sock, select.EPOLLRDHUP)
            listener.offer(caller)

    def _check_caller(self, fd: int) -> None:
        with STATE:
            # It may have been taken, and the number given to another, since the kernel told.
            waiting = self._callers.get(fd)
            if waiting is None:
                return
            caller, listener = waiting
            if not caller.hung_up() or not listener.withdraw(caller):
                return
            self.unwatch(caller)
        caller.sock.close()


def _answer_and_close(sock: socket.socket, network: str, text: str) -> None:
    try:
        # Closing with data unread would take back what is said here.
        for _ in range(_BATCH):
            try:
                if not sock.recv(4096):
                    break
            except BlockingIOError:
                break
        sock.send(reply_error(network, text), socket.MSG_NOSIGNAL)
    except OSError:
        pass  # It hung up: there is nobody to tell.
    sock.close()


def _listen_somewhere() -> socket.socket:
    """A listener at an address of 127.0.0.0/8 that this process will have for itself."""
    chance = random.SystemRandom()
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # 127.0.x.y is where other programs are.
        sock.bind((f"127.{chance.randint(1, 254)}.{chance.randint(0, 255)}.1", 0))
        sock.listen(4096)
    except BaseException:
        sock.close()
        raise
    return sock
