"""The exception for wrong input, with field and value as attributes for programs and tests."""


class InputError(ValueError):
    """Input that the user can correct: what is wrong, and what to do about it.

    The message is `problem` followed by `remedy`. Write both as complete sentences:

        raise InputError(
            f"loop.steps is {steps}, but a run needs at least one step.",
            remedy="Set loop.steps=100 or more.",
            field="loop.steps",
            value=steps,
        )
    """

    def __init__(
        self, problem: str, *, remedy: str = "", field: str = "", value: object = None
    ) -> None:
        """Join problem and remedy to the message.

        Args:
            problem: What is wrong and why, naming the field and the value.
            remedy: What to do, with the command to type where there is one.
            field: The setting, column, option or file that is wrong.
            value: The value that was given.
        """
        super().__init__(f"{problem} {remedy}".strip())
        self.problem = problem
        self.remedy = remedy
        self.field = field
        self.value = value
