"""What runs among Django's own tests, and not among ours."""
