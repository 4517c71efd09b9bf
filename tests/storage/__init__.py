"""What is promised of single providers, and of the factory that opens them."""
