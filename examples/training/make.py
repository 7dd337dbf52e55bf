"""Makes the sample models named on the command line, or all. See README.md."""

import os
import subprocess
import sys
from pathlib import Path

MODELS = ["wine", "iris", "digits", "diabetes", "penguins"]
# skl2onnx lists opsets in the order of a set of strings, which the hash seed decides.
SAME_BYTES = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}

for name in sys.argv[1:] or MODELS:
    script = Path(__file__).with_name(f"{name}.py")
    subprocess.run([sys.executable, "-B", str(script)], env={**os.environ, **SAME_BYTES}, check=True)
