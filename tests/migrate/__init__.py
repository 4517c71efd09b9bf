"""Migrations: up, down, several at once, inside a service, and what they wait for."""
