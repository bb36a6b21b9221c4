"""What merchants' systems see of the figures, below `/api/v1/`."""
