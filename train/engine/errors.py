"""What can stop a run. Every message is one or two full sentences for the person who started it."""


class EngineError(Exception):
    """The run cannot go on; the message says what is wrong and what to do."""


class ConfigError(EngineError, ValueError):
    """A field of the configuration is unknown, missing or wrong."""


class DataError(EngineError, ValueError):
    """A line of a data file cannot be used; the message names the file and the line."""


class ModelError(EngineError):
    """A model, adapter or tokenizer folder cannot be used."""


class Stopped(EngineError):
    """The run was asked to stop (SIGTERM)."""
