"""The benchmark's driver; what is measured lies in ``scripts/bench_parts``, one file a part."""
