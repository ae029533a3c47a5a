"""What happens on a network, as records. A map of:

- ``task``: which task acts, and what it has learned;
- ``reporter``: numbers records under the lock, knows what each socket has said so far;
- ``wire``: the connection to a network's ``trace.sock``.

The format is that of ``docs/trace-protocol.md``.
"""
