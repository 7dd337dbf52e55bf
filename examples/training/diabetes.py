"""Progression of diabetes after one year: ridge regression over ten features in their own units."""

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import KFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import common

FEATURES = {
    "age": "Age, years",
    "sex": "Sex, coded 1 or 2 as in the data set",
    "bmi": "Body mass index, kg/m²",
    "bp": "Average blood pressure, mmHg",
    "s1": "Total serum cholesterol, mg/dl",
    "s2": "Low-density lipoproteins, mg/dl",
    "s3": "High-density lipoproteins, mg/dl",
    "s4": "Total cholesterol / HDL",
    "s5": "Logarithm of serum triglycerides",
    "s6": "Blood sugar, mg/dl",
}


def main():
    data = load_diabetes(scaled=False)
    assert data.feature_names == list(FEATURES)
    x, y = common.float32(data.data), data.target
    x_train, x_held, y_train, y_held = train_test_split(x, y, test_size=0.25, random_state=common.SEED)
    pipeline = make_pipeline(StandardScaler(), Ridge(alpha=10))
    folds = KFold(10, shuffle=True, random_state=common.SEED)
    cross_validated = cross_val_score(pipeline, x, y, cv=folds).mean()
    fitted = pipeline.fit(x_train, y_train)
    r2, error = fitted.score(x_held, y_held), mean_absolute_error(y_held, fitted.predict(x_held))

    model = to_onnx(
        fitted,
        initial_types=[("input", FloatTensorType([None, len(FEATURES)]))],
        target_opset={"": 17, "ai.onnx.ml": 3},
        name="diabetes",
    )
    output = fitted.predict(x)
    [found] = common.run(model, {"input": x.astype(np.float32)}, ["variable"])
    common.same("variable", output[:, np.newaxis], found)

    inputs = [[common.number(v) for v in row] for row in x]
    output = [float(v) for v in output]
    manifest = {
        "schema_version": 1,
        "name": "diabetes",
        "version": "v1.0.0",
        "description": "Progression of diabetes one year after the measurements (a score from 25 to 346)",
        "task": "regression",
        "features": [{"name": n, "description": d} for n, d in FEATURES.items()],
        "outputs": {"value": "variable"},
        "examples": [{"inputs": inputs[0]}, {"inputs": dict(zip(FEATURES, inputs[-1]))}],
    }
    readme = f"""
# diabetes

How far diabetes has progressed one year after ten measurements: a score between 25 and 346 in the data set.
Features are in their own units (not the standardised columns that scikit-learn gives by default).

- Data: B. Efron, T. Hastie, I. Johnstone and R. Tibshirani, "Least Angle Regression", Annals of Statistics 32 (2004),
  made public with the paper (https://www4.stat.ncsu.edu/~boos/var.select/diabetes.html) and shipped with
  scikit-learn, which is BSD-3-Clause (`load_diabetes(scaled=False)`): 442 rows. Its authors state no licence.
- Training (`examples/training/diabetes.py`): `StandardScaler` and `Ridge` on 75 % of the rows.
- On the 25 % held out ({len(y_held)} rows): R² {r2:.2f}, mean absolute error {error:.0f} (the scores' standard deviation is
  {y.std():.0f}). R² in ten-fold cross-validation over all rows: {cross_validated:.2f}. The data allow little more.
- File: input `input` FP32 [N,10]; output `variable` FP32 [N,1].

```json
{common.body(dict(zip(FEATURES, inputs[0])))}
```
"""
    common.save("diabetes", model, manifest, readme, inputs, output)


if __name__ == "__main__":
    common.reproducible()
    main()
