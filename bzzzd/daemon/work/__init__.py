"""Work on this node: its agents, what is offered to them, and how tasks are shown."""
