"""Keeps the daily facts: movements of the ledger and lines of orders, each counted exactly once."""
