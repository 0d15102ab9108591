"""The control API: what operators and the admin console see and do (`docs/api/control.md`)."""
