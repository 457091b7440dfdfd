"""The client's version, as META records it."""

VERSION = "0.1.0"
