"""Tables as autovacuum leaves them, so that no run pays for the rows of another."""

from django.db import connection


def tidy(*tables: str) -> None:
    """Vacuums and analyses tables; without a name the whole database.

    Waits for as long as it takes: autovacuum locks the same tables, and other benchmarks on the server its catalogs.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 0")
        for table in tables or ("",):
            cursor.execute(f"VACUUM ANALYZE {table}")
        cursor.execute("RESET lock_timeout")
