"""Every error that organscope raises on purpose.

```
OrganscopeError
├── UsageError              the command or the configuration is wrong: nothing was started (exit code 2)
│   ├── ConfigError         a configuration file has an unknown key or a value out of range
│   ├── UnknownNameError    a bundle, network, column or option of that name does not exist
│   └── MissingExtraError   the command needs packages of an extra that is not installed
├── InputError              one input cannot be used: the others go on (exit code 1)
│   ├── ImageReadError      a file is no image, is truncated, or is too large to open unguarded
│   ├── AnnotationError     labels are unreadable or do not belong to their image
│   ├── ShapeError          an array or a region has another shape than is needed
│   └── ValueRangeError     numbers leave the range that they must keep
├── BundleError             a bundle cannot be used
│   ├── ManifestError       its manifest is missing, unknown or does not fit its schema
│   ├── IntegrityError      a file of it is missing or its SHA-256 differs
│   ├── UnsafeGraphError    its graph has custom operators or external data
│   └── VerificationError   its test input does not give the expected output
├── DatasetError            an index is missing, empty or inconsistent
└── OutputError             results cannot be written: folder not writable, disk full
```

A message says what was expected, what was found and what to do.
"""


class OrganscopeError(Exception):
    """Anything that organscope refuses with a sentence a person can act on."""


class UsageError(OrganscopeError):
    """The command or the configuration is wrong; nothing was started."""


class ConfigError(UsageError):
    """A configuration file has an unknown key or a value out of range."""


class UnknownNameError(UsageError):
    """A bundle, network, column or option of that name does not exist."""


class MissingExtraError(UsageError):
    """The command needs packages of an extra that is not installed."""


class InputError(OrganscopeError):
    """One input cannot be used; the others go on."""


class ImageReadError(InputError):
    """A file is no image, is truncated, or is too large to open unguarded."""


class AnnotationError(InputError):
    """Labels are unreadable or do not belong to their image."""


class ShapeError(InputError):
    """An array or a region has another shape than is needed."""


class ValueRangeError(InputError):
    """Numbers leave the range that they must keep."""


class BundleError(OrganscopeError):
    """A bundle cannot be used."""


class ManifestError(BundleError):
    """A bundle's manifest is missing, of an unknown version, or does not fit its schema."""


class IntegrityError(BundleError):
    """A file of a bundle is missing or its SHA-256 differs from the manifest."""


class UnsafeGraphError(BundleError):
    """A bundle's graph has custom operators or external data."""


class VerificationError(BundleError):
    """A bundle's test input does not give the expected output."""


class DatasetError(OrganscopeError):
    """A dataset index is missing, empty or inconsistent."""


class OutputError(OrganscopeError):
    """Results cannot be written: the folder is not writable or the disk is full."""
