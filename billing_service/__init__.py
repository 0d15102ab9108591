"""The system of record: customers, accounts, plans, calls, bills, ledger; REST API; scheduled closing."""
