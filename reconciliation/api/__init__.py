"""What merchants' systems see of conflicts, comparisons and alerts, below `/api/v1/`."""
