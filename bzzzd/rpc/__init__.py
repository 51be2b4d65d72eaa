"""RPC words: MessagePack-RPC frames, methods, access rules, server and client."""
