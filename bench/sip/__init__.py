"""What a call and a registration cost, next to Kamailio doing the same work on the same machine."""
