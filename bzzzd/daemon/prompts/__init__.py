"""Prompts on one node: questions to people on their way to the ledger, their answers, and who sees them."""
