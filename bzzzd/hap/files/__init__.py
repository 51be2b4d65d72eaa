"""The person's files: what was seen last, drafts, signed answers that wait, saved versions, settings of the hands."""
