"""Generated protobuf modules; `python generate_protos.py` writes them."""
