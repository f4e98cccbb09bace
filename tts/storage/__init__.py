"""Bytes on a disk: lines that know whether they are whole, and compact JSON."""
