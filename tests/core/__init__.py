"""What is no provider's behaviour: settings, the factory, encoding, errors, logs, the update loop and the reaper."""
