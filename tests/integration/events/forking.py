"""A server that uses the library and then forks the process that serves, as preforking servers do."""

import os
import signal
import sys

import uvicorn

from integration.events.order_service import app, verify

verify("k_before_the_fork")
child = os.fork()
if child == 0:
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", lifespan="off")
    sys.exit()
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
os.waitpid(child, 0)
