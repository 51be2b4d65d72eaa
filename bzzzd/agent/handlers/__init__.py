"""What an agent can do: one handler for each capability, listed as data."""
