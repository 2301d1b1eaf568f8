"""Snakepit beside etcd, Ray and Celery: on the same machine and disk, one system at a time.

Run by ``scripts/bench``, which sets everything up. See docs/benchmarks.md for what is measured.
"""

from __future__ import annotations

import sys

from bench_lib.main import main

if __name__ == "__main__":
    sys.exit(main((__doc__ or "").partition("\n\n")[0]))
