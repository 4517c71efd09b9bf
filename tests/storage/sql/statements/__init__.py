"""What statements cost: round trips, plans, HOT updates; and whose clock rules."""
