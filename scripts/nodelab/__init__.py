"""Throw-away Debian machines on this one: systemd-nspawn on overlays of one cached base, on a bridge of their own."""
