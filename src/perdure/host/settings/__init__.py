"""From host.json, local.settings.json, the environment and flags to one configuration with the origin of each value."""
