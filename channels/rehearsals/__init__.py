"""Rehearsal: the recorded events of a period replayed under other rules, beside what happened.

`events` streams what was recorded; `shelves` and `world` are what shops showed and what lay in stock, each twice: as it
happened, and as it would have been; `replay` walks through the events; `running` runs one as a job.
"""
