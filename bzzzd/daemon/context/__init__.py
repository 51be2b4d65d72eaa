"""Context: content at UCXL addresses, large content, and the store below both."""
