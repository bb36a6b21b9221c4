"""Tests of who has the say over locations."""
