"""Print what works on this machine: `chatwright doctor`."""

import typer


def doctor() -> None:
    """Check this installation and machine. Exit status 1 if a requirement is not met."""
    from chatwright.pipeline.machine_checks import checks, describe_machine

    for name, value in describe_machine().items():
        print(f"      {name:22} {value}")
    all_met = True
    for check in checks():
        mark = "ok" if check.is_met else "BAD"
        remedy = "" if check.is_met else f" -> {check.remedy}"
        print(f"{mark:5} {check.name:22} {check.value}{remedy}")
        all_met = all_met and check.is_met
    if not all_met:
        raise typer.Exit(1)
