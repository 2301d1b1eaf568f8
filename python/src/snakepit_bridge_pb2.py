"""The messages under the name that Snakepit's adapters import; the very module of `snakepit._proto`."""

import sys

from snakepit._proto import snakepit_bridge_pb2 as _messages
from snakepit._proto.snakepit_bridge_pb2 import *

# One module under two names: two copies would register the descriptors twice.
sys.modules[__name__] = _messages
