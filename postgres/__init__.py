"""Connections to PostgreSQL: opened with bounds, shared by threads. Whose tables lie there is for other rooms."""
