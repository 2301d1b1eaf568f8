"""The worker runtime: one process that runs an adapter's tools for its node.

``python -m snakepit.worker --adapter pkg.mod.Class`` is started by a node, dials it on a Unix socket, and
serves calls until the node drains it or goes away. See `snakepit.worker._settings` for its environment.
"""
