"""The runtime organ: services, life cycle, health, locks, breaker and limits."""
