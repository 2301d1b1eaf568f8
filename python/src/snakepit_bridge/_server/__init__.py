"""An adapter behind a gRPC server of its own, as Snakepit's pool starts it."""
