"""What the fork server does when it starts: load, once, what every worker needs. For that process alone to import.

No torch operation runs here: a thread or a CUDA context would not survive the fork.
"""

import atexit
import gc
import importlib
import os
import shutil
import signal

from study.execution.processes import SOCKET_FOLDER
from study.interrupts import FOR_THE_DRIVER

# They reach the whole process group.
for _signal in FOR_THE_DRIVER:
    signal.signal(_signal, signal.SIG_IGN)

_server = os.getpid()


def _leave() -> None:
    """Remove the folder of the server's socket, which a driver that was killed has left, and end at once: taking torch
    apart would cost half a second, in which a reader of the command's output would wait."""
    if os.getpid() == _server:
        shutil.rmtree(os.environ[SOCKET_FOLDER], ignore_errors=True)
        os._exit(0)


atexit.register(_leave)

# All that is loaded stays, so that looking for garbage is in vain: a fifth of the time that loading takes. A worker
# turns the collector on again.
gc.disable()

# The last two are loaded by torch and by the count of a model's FLOPs when they are first used.
for _module in ("study.execution.worker", "torch._dynamo", "torch.utils.flop_counter"):
    importlib.import_module(_module)
