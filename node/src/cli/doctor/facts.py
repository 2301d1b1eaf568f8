# What a Python is, for `snakepit doctor`: a JSON object on standard output, whatever else is missing.
import json
import sys
import sysconfig

facts = {
    "executable": sys.executable,
    "version": list(sys.version_info[:3]),
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "packages": {},
}


def look(name, version):
    try:
        facts["packages"][name] = {"version": str(version(__import__(name, fromlist=["_"])))}
    except BaseException as error:
        facts["packages"][name] = {"error": f"{type(error).__name__}: {error}"}


look("grpc", lambda module: module.__version__)
look("google.protobuf", lambda module: module.__version__)
look("snakepit", lambda module: module.__version__)
look("snakepit.worker", lambda module: "")
print(json.dumps(facts))
