"""What runs among the SDK's own tests, and not among ours."""
