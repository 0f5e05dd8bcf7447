"""Write the receipt of a reply that was served."""

from chatwright.chat.receipt import Receipt, message_sha256
from chatwright.chat.reply_events import Finished
from chatwright.server.model_identity import ModelIdentity


def receipt_of(
    identity: ModelIdentity, finished: Finished, seconds: float, n_cut: int = 0
) -> Receipt:
    """Return the receipt of a reply.

    Args:
        identity: The model that replied.
        finished: The end of the reply.
        seconds: From the request to the end of the reply.
        n_cut: Messages of the conversation that did not fit into the context.
    """
    reason = identity.batch_dependence_reason
    return Receipt(
        weights=identity.weights,
        adapter=identity.adapter,
        tokenizer=identity.tokenizer,
        build=identity.build,
        is_batch_invariant=None if reason is None else not reason,
        requests=finished.requests,
        reason=finished.reason,
        message_sha256=message_sha256(finished.message),
        n_cut=n_cut,
        seconds=seconds,
    )
