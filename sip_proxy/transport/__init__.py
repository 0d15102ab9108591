"""Sockets: UDP and streams. They carry messages between the network and the core."""
