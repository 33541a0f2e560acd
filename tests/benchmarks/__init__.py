"""Measurements that run only when named: ``pytest -s tests/benchmarks/bench_objects.py``, on a quiet machine."""
