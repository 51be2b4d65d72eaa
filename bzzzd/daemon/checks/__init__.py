"""Checks: what the doctor finds, and the figures that monitoring reads."""
