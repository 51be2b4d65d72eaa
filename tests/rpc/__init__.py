"""Tests of the RPC room."""
