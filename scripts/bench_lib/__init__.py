"""What `scripts/bench` runs: Snakepit beside etcd, Ray and Celery. A file for each system and each extra."""
