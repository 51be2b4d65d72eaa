"""Messages by topic: numbered, journalled, heard, and caught up with."""
