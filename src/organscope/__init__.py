"""organscope: where is every cell, and which organ is this?"""

__version__ = "0.1.0"
