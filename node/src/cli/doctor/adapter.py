# Loads an adapter as a worker would, for `snakepit doctor`: its tools as a JSON object on the last line.
import json
import sys

import snakepit.worker._worker  # noqa: F401
from snakepit.worker._host import load

# Some extension modules turn the lock on where they are imported: the package's own, and the adapter's.
is_on = getattr(sys, "_is_gil_enabled", lambda: True)
before = is_on()
try:
    host = load(sys.argv[1])
    told = {"tools": sorted(spec.name for spec in host.specs)}
except BaseException as error:
    hint = getattr(error, "hint", "")
    told = {"error": f"{type(error).__name__}: {error}", "hint": hint if isinstance(hint, str) else ""}
told["gil"] = is_on()
told["gil_before"] = before
print()
print(json.dumps(told))
