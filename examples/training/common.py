"""What the sample models share: reading an ONNX file's answers, checking them, and writing the outputs."""

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime

ROOT = Path(__file__).resolve().parents[2]
SEED = 0
# The answers of the exported graph (float32) may differ from scikit-learn's (float64) by this much.
TOLERANCE = 1e-5
# As many rows as a test sends over HTTP.
ROWS_MAX = 1000
FILE_BYTES_MAX = 1_000_000


def float32(values):
    """Rounds to float32, which is what a server of a float32 graph sees, and goes on in float64."""
    return np.asarray(values, dtype=np.float32).astype(np.float64)


def number(value):
    """A float32 as the shortest JSON number that reads back as the same float32; None for NaN (missing)."""
    single = np.float32(value)
    if np.isnan(single):
        return None
    text = float(str(single))
    assert np.float32(text) == single
    return int(text) if text.is_integer() else text


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(model, feeds, output_names):
    """The named outputs for all rows at once; fails unless one row at a time gives the same within TOLERANCE."""
    live = session(model)
    together = live.run(output_names, feeds)
    row_count = len(next(iter(feeds.values())))
    for row in range(row_count):
        alone = live.run(output_names, {name: value[row : row + 1] for name, value in feeds.items()})
        for name, all_rows, one_row in zip(output_names, together, alone):
            same(f"{name} of row {row}, alone and in a batch", all_rows[row : row + 1], one_row)
    return together


def unzipped(rows):
    """The output of a ZipMap (one dict a row) as labels and a matrix."""
    return list(rows[0]), np.array([list(row.values()) for row in rows])


def same(what, expected, found):
    if isinstance(expected, list):
        labels, expected = unzipped(expected)
        found_labels, found = unzipped(found)
        assert labels == found_labels, f"{what}: classes differ"
    expected, found = np.asarray(expected), np.asarray(found)
    assert expected.shape == found.shape, f"{what}: shape {found.shape}, expected {expected.shape}"
    if expected.dtype.kind in "OSUi":
        assert (expected == found).all(), f"{what}: labels differ"
    else:
        worst = np.max(np.abs(found - expected) / np.maximum(1, np.abs(expected)))
        assert worst <= TOLERANCE, f"{what}: differs by {worst}"


def save(name, model, manifest, readme, inputs, output, probabilities=None, labels=None):
    """Writes model.onnx, manifest.json, README.md and the expected answers of the first ROWS_MAX rows."""
    folder = ROOT / "examples" / "models" / name
    folder.mkdir(parents=True, exist_ok=True)
    data = model.SerializeToString(deterministic=True)
    assert len(data) < FILE_BYTES_MAX, f"{name}: {len(data)} bytes"
    (folder / "model.onnx").write_bytes(data)
    write(folder / "manifest.json", manifest_text(manifest))
    write(folder / "README.md", readme.strip() + "\n")

    rows = []
    for index in range(min(len(inputs), ROWS_MAX)):
        row = {"inputs": inputs[index], "output": output[index]}
        if probabilities is not None:
            row["probabilities"] = [round(float(p), 9) for p in probabilities[index]]
        rows.append(row)
    answers = {"model": name, "labels": labels, "rows": rows}
    test_data = ROOT / "test" / "data"
    test_data.mkdir(parents=True, exist_ok=True)
    write(test_data / f"{name}.json", json.dumps(answers, separators=(",", ":"), allow_nan=False) + "\n")
    print(f"{name}: {len(data)} bytes, {len(rows)} expected answers")


def manifest_text(manifest):
    """JSON with a line for each key, and for each element of a list or object of objects."""
    return "{\n" + ",\n".join(f"  {dump(key)}: {entry_text(value)}" for key, value in manifest.items()) + "\n}\n"


def entry_text(value):
    if isinstance(value, list) and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f"    {dump(item)}" for item in value) + "\n  ]"
    if isinstance(value, dict) and isinstance(next(iter(value.values())), dict):
        return "{\n" + ",\n".join(f"    {dump(key)}: {dump(item)}" for key, item in value.items()) + "\n  }"
    return dump(value)


def dump(value):
    return json.dumps(value, ensure_ascii=False)


def write(path, text):
    path.write_text(text, encoding="utf-8", newline="\n")


def body(instance, **parameters):
    """A request body for a README."""
    return dump({"inputs": instance, **({"parameters": parameters} if parameters else {})})


def reproducible():
    """Stops unless make.py has set what makes a run write the same bytes as the last."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONHASHSEED"):
        assert variable in os.environ, f"run through make.py, which sets {variable}"
