"""Registered models as MLflow serves them: pictures in, masks, probabilities or annotated objects out.

    model = mlflow.pyfunc.load_model("models:/UNet Trained@best")
    mask = model.predict(rgb)                                        # an array in, an array out
    answers = model.predict([rgb, other], params={"output": "objects", "mode": "sliding_window"})

`mlflow models serve` answers the same over HTTP (docs/serving.md).
"""
