from .cells import teach_cells
from .teach import Taught, teach_organs

__all__ = ["Taught", "teach_cells", "teach_organs"]
