"""The version of this code, and of the schema that it needs."""

VERSION = "0.1.0"
