"""Message syntax: RFC 3261 §7, §19, §20, §25."""
