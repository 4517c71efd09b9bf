"""Random programs of concurrent calls, held to what one call at a time would have come to."""
