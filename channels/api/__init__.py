"""The merchants' API: what is sold where, and what channels are told, by topic."""
