"""Names for arrays; apart from `tts.types`, so that what holds no array loads no numpy."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
