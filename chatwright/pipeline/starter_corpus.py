"""Find the starter corpus that a model was trained on."""

from pathlib import Path

from chatwright.checkpoint import model_directory

MANIFEST = "*/world/manifest.json"  # below the folder of a recipe's stages
N_LEVEL = 4  # a model is STAGE, STAGE/model, STAGE/checkpoints/step-N or improve/N/STAGE/model


def starter_corpus(model: Path) -> Path | None:
    """Return the folder of the starter corpus beside a model's stage; None for other models.

    Args:
        model: A model directory, a training run, or a directory of versions.
    """
    found = model_directory.find(model) if model_directory.holds_model(model) else model
    for folder in [*found.absolute().parents][:N_LEVEL]:
        for manifest in sorted(folder.glob(MANIFEST)):
            return manifest.parent
    return None
