"""The update loop: updates that go together, are cancelled, refused or lost."""
