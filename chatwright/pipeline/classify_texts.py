"""Classify texts with the encoder in a directory, and write a page that shows its attention."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from chatwright.checkpoint import model_directory
from chatwright.engine.encoder_forward import ClassifierForward
from chatwright.inspection.label_attention import label_attention
from chatwright.inspection.label_page import label_page
from chatwright.model.encoder import Encoder
from chatwright.pipeline.text_input import few_texts, require_text, require_writable
from chatwright.tasks.classify import Classifier, Prediction

MAX_TEXTS_ON_PAGE = 20


def classify_texts(
    directory: Path, texts: Iterable[str], attention_page: Path | None = None
) -> Iterator[Prediction]:
    """Yield the prediction for each text, before the next text is read.

    Args:
        directory: A model directory, or the directory of a run.
        texts: The texts, of which at least one is not blank. With `attention_page`, all of them are
            read before the first prediction.
        attention_page: Path of an HTML page to write, which shows the attention of [CLS].
    """
    texts = require_text(texts)
    if attention_page is not None:
        require_writable(attention_page)
        texts = few_texts(texts, MAX_TEXTS_ON_PAGE)
    model, tokenizer = model_directory.load(directory, kind=Encoder)
    classifier = Classifier(ClassifierForward(model), tokenizer)
    shown: list[Prediction] = []
    for prediction in classifier.predict(texts):
        yield prediction
        if attention_page is not None:
            shown.append(prediction)
    if attention_page is not None:
        _write_page(classifier, shown, attention_page)


def _write_page(classifier: Classifier, predictions: list[Prediction], file: Path) -> None:
    model, tokenizer = classifier.forward.model, classifier.tokenizer
    shown = [
        (
            prediction.probabilities,
            [
                label_attention(model, tokenizer, piece)
                for piece in classifier.pieces(prediction.text)
            ],
        )
        for prediction in predictions
    ]
    file.write_text(label_page(shown), encoding="utf-8")
