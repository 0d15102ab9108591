"""The telephone exchange: registrar, stateful SIP proxy, call accounting, control API."""
