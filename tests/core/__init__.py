"""The modules that users import: settings, errors, ids, the manager, the reaper, logs."""
