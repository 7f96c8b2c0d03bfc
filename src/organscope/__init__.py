"""organscope: where is every cell, and which organ is this?

```python
import organscope as osc

result = osc.analyze("slide.tif")     # result.cells, result.organ
result.decide(costs={"liver": 20})    # again, without running a network
result.save("results/")               # what the command line writes
```
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
