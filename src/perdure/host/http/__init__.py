"""The HTTP front: functions, the documented webhooks, the admin API, probes."""
