"""Host name → OS address, across processes, and who of them is alive. A map; start with
``membership``:

- ``membership``: a subnetwork's place in the registry: its hosts' names, its lease;
- ``sqlite``: all SQL there is;
- ``directory``, ``base``, ``sweep``, ``names``: where networks lie on disk, and who may use them;
- ``lease``, ``flock``: who is alive.
"""

from .directory import NetworkDir
from .lease import Liveness
from .membership import Registry
from .sqlite import Lookup

__all__ = ["Liveness", "Lookup", "NetworkDir", "Registry"]
