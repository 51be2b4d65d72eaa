"""The agent door: bzzz-agent, an autonomous worker that attaches to bzzzd."""
