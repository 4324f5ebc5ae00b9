"""MongoDB: server, connections, indexes, candidates and their queries."""
