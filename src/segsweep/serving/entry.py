"""What MLflow keeps with every registered version, and runs to load it ("models from code"): nothing is pickled.

The network lies beside it as a model folder; what is done with it is part of Segsweep, which must be installed.
"""

import mlflow

from segsweep.serving.model import SegmentationModel

mlflow.models.set_model(SegmentationModel())
