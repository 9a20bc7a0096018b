"""The exceptions that Unstir raises.

.. code-block:: text

    UnstirError
    ├── AudioError (ValueError)           sound that cannot be read, written or separated
    ├── SettingsError (ValueError)        an option outside its range, or two that contradict
    │   └── UnknownNameError (LookupError)  a method, stem set or device that is not there
    └── JournalError (RuntimeError)       an unfinished run that these settings cannot go on with

Every message is one sentence or two: what came, what is allowed, what to do.
The command line prints it without a traceback and leaves with exit code 2.
"""


class UnstirError(Exception):
    """The root: ``except UnstirError`` catches every refusal."""


class AudioError(UnstirError, ValueError):
    """Sound that cannot be read, written or separated."""


class SettingsError(UnstirError, ValueError):
    """An option outside its range, or two options that contradict each other."""


class UnknownNameError(SettingsError, LookupError):
    """A method, stem set or device that is not there."""


class JournalError(UnstirError, RuntimeError):
    """An unfinished run that these settings cannot go on with."""


class PluginError(UnstirError, RuntimeError):
    """An audio plug-in that cannot be loaded, crashed, hung, or gave nonsense."""
