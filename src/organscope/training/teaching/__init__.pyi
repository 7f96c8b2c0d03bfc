from .teach import Taught, teach_organs

__all__ = ["Taught", "teach_organs"]
