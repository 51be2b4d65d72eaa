"""Crypto words: keys, signed envelopes and role encryption over well-kept libraries."""
