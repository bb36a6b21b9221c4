"""The merchants' API: what they have and what happened to it, by topic."""
