"""What a store cannot do: find a thing, or change it in its present state."""


class NotFound(LookupError):
    """There is no such thing, or it belongs to another user."""

    def __init__(self, kind: str, id_: str) -> None:
        """Name the kind of the thing, such as "conversation", and its id."""
        super().__init__(f"there is no {kind} {id_!a}")
        self.kind = kind
        self.id = id_


class Conflict(RuntimeError):
    """The present state does not allow the change. `code` is for programs."""

    def __init__(self, message: str, code: str) -> None:
        """Store the explanation and the code."""
        super().__init__(message)
        self.code = code
