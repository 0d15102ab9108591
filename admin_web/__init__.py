"""The administrators' console, server-rendered over the billing REST API and the exchange's control API."""
