"""PostgreSQL: tables, the unit of work, queries. The only home of SQLAlchemy."""
