# Loads an adapter as a worker would, for `snakepit doctor`: its tools as a JSON object on the last line.
import json
import sys

from snakepit.worker._host import load

try:
    host = load(sys.argv[1])
    told = {"tools": sorted(spec.name for spec in host.specs)}
except BaseException as error:
    hint = getattr(error, "hint", "")
    told = {"error": f"{type(error).__name__}: {error}", "hint": hint if isinstance(hint, str) else ""}
# Some extension modules turn the lock on where they are imported.
told["gil"] = getattr(sys, "_is_gil_enabled", lambda: True)()
print()
print(json.dumps(told))
