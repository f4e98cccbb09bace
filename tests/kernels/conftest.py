"""Keeps Triton's interpreter out of the process that runs the other tests.

The variable that turns it on counts when Triton is imported, for the whole process, and vLLM
imports Triton too. So `interpreted/` is collected only where the variable is set already:
`test_interpreted.py` starts such a process. To run one of its tests by hand:
`TRITON_INTERPRET=1 pytest tests/kernels/interpreted -k NAME`.
"""

import os

collect_ignore = [] if os.environ.get("TRITON_INTERPRET") == "1" else ["interpreted"]
