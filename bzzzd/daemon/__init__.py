"""The daemon door: bzzzd, which owns the node's keys, the mesh and the ledger."""
