"""Proof under fire: the whole program with everything that goes wrong, and a verdict; see README.md."""
