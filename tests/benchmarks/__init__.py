"""Benchmarks: each case beside its physical reference, measured in the same run. Started by `manage.py benchmark`."""
