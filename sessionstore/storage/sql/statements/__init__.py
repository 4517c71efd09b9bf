"""The statements, by topic, built and compiled once; and what rows say."""
