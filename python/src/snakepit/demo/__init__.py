"""Adapters to look at and to test a cluster with; `python -m snakepit.demo` drives a whole job."""
