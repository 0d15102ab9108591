"""The REST API: routes, schemas, problems, a handler module per noun."""
