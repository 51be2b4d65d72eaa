"""The ledger across the mesh: one node keeps it, the others forward to it, one holds a copy."""
