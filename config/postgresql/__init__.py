"""Django's PostgreSQL engine, with a test of connections that asks the server nothing."""
