"""The SQL statements, one module per topic, and the conversion between records and rows."""
