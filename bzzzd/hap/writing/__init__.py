"""What the person writes: answers, forms, messages and passphrases, from the first key to the send."""
