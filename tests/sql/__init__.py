"""What is promised of SQL databases only: round trips, locks, faults, migrations, plans."""
