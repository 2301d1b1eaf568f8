"""The service under the name that Snakepit's adapters import; the very module of `snakepit._proto`."""

import sys

from snakepit._proto import snakepit_bridge_pb2_grpc as _service
from snakepit._proto.snakepit_bridge_pb2_grpc import *

# One module under two names, so that classes are identical whichever way they were imported.
sys.modules[__name__] = _service
