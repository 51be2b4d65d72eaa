"""Identity words: grants, agent records, roles and policy."""
