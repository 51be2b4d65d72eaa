"""The connection to bzzzd: calls and streams, proofs of what came, signatures on what goes."""
